"""Distillation: a student of a block or two learns what a deep teacher thinks of its own best items.

Called by   benchmarks/compression
Soft        the teacher's probabilities over its TOP items, which say which wrong answers are nearly right; beside them
            the next items themselves, as in any training
Start       the teacher's item vectors and first blocks
Source      Hinton, Vinyals and Dean 2015; top items only: Tang and Wang 2018 (Ranking Distillation)
Dimensions  Q queries, K items of the teacher's list, D width, M targets
"""

import torch
from torch import Tensor
from torch.nn import functional

from services.training.compression.prune import tune
from services.training.compression.shrink import shrunk
from services.training.examples.negative_sampling import Negatives
from services.training.examples.sequences import TrainingBatch
from services.training.progress import Report, quiet
from services.training.sequence.config import SequenceConfig
from services.training.sequence.distributed import Team
from services.training.sequence.fit import Material
from services.training.sequence.model import SequenceModel
from services.training.sequence.repeatable import repeatable
from services.training.sequence.trainer import Surroundings, Validate

TOP = 100
SOFT_SHARE = 0.5
"""of the loss; the rest is the answers themselves"""
TEMPERATURE = 1.0
EPOCHS = 8


class Student(SequenceModel):
    """A model whose loss also asks what its teacher would say."""

    def taught_by(self, teacher: SequenceModel) -> "Student":
        """Set the teacher; it is no part of what is trained or kept."""
        self._teacher = (teacher.eval(),)
        return self

    def forward(self, batch: TrainingBatch, negatives: Negatives | None) -> tuple[Tensor, int]:
        """Return the summed loss of both kinds and the number of queries."""
        answers, queries = super().forward(batch, negatives)
        top_QK, belief_QK = self._belief(batch)
        code_BL = torch.from_numpy(batch.windows.code_BL).to(top_QK.device)
        state_QD = self.states(batch, self.items(code_BL))
        score_QK = torch.einsum("qd,qkd->qk", state_QD, functional.embedding(top_QK, self.items.all()))
        soft = -(belief_QK * functional.log_softmax(score_QK / TEMPERATURE, dim=1)).sum()
        return (1 - SOFT_SHARE) * answers + SOFT_SHARE * soft, queries

    @torch.no_grad()
    def _belief(self, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """Return the teacher's best items and how likely it holds each among them."""
        (teacher,) = self._teacher
        item_VD = teacher.items.all()
        code_BL = torch.from_numpy(batch.windows.code_BL).to(item_VD.device)
        score_QV = teacher.states(batch, functional.embedding(code_BL, item_VD)) @ item_VD.T
        top = torch.topk(score_QV, min(TOP, len(item_VD)), dim=1)
        return top.indices, functional.softmax(top.values / TEMPERATURE, dim=1)


def distil(
    teacher: SequenceModel,
    material: Material,
    validate: Validate,
    config: SequenceConfig,
    blocks: int,
    report: Report = quiet,
) -> SequenceModel:
    """Return a student with so many blocks; `config` is the one the teacher was trained with."""
    with repeatable(config, Team()):
        torch.manual_seed(config.seed)
        start = shrunk(teacher, material.sides, range(blocks), teacher.encoder.config.feed_forward)
        student = Student(start.encoder.config, teacher.num_items, material.sides).taught_by(teacher)
        student.load_state_dict(start.state_dict())
        tune(student, material, validate, config, EPOCHS, Surroundings(report=report, step_name="distil"))
    return student
