"""Rows that train in epochs: the product's sequence Transformer, and plain SASRec as a configuration of the same code.

Called by   models.py
Learns      `task.train` alone; the epoch is chosen by NDCG@10 on at most 4,000 random validation questions, ranked as
            the test is. Validation events are not learned afterwards
Asks        as serving does: ONNX Runtime on a CPU (shared/models/sources/sequence.py), torch on a GPU
Dimensions  B histories, D width, V items
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from benchmarks.quality.row import Training
from benchmarks.quality.task import QualityTask
from services.training.progress import Report
from services.training.sequence.config import SequenceConfig
from services.training.sequence.export import export_encoder
from services.training.sequence.fit import Material, fit_encoder
from services.training.sequence.model import SequenceModel
from services.training.sequence.sides import NO_SIDES, sides_of
from services.training.sequence.validation import NextBasketValidation
from shared.features.events import FloatArray
from shared.models.encoder import EncoderConfig, LastState
from shared.models.sources.sequence import SequenceSource, open_session
from shared.models.tensors import History, collate

CHOICE_QUESTIONS, CHOICE_SEED = 4000, 7
Configure = Callable[[QualityTask], SequenceConfig]


class EncoderModel:
    """A trained encoder as a row."""

    def __init__(self, configure: Configure, with_sides: bool) -> None:
        self._configure, self._with_sides = configure, with_sides
        self.training = Training()
        self._encode: Callable[[Sequence[History]], FloatArray] | None = None
        self._item_VD = np.empty((0, 0), np.float32)

    def fit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Train until validation no longer improves."""
        config = replace(self._configure(task), seed=seed, threads=task.threads, device=task.device)
        sides = sides_of(task.catalogue, task.vocabulary.row_V) if self._with_sides else NO_SIDES
        validation = recorded_validation(task, config.encoder.max_length)
        began_s = time.perf_counter()
        fitted = fit_encoder(
            Material(task.train, task.vocabulary, sides), validation, config, checkpoints=task.work, report=report
        )
        self.training = validation.training(began_s)
        self._item_VD = fitted.model.items.all().detach().cpu().numpy()
        self._encode = served(fitted.model, self._item_VD, config)

    def refit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Nothing: what was trained stays."""

    def scores(self, histories: Sequence[History]) -> FloatArray:
        """Return the product of state and item vectors."""
        if self._encode is None:
            raise RuntimeError("fit comes before scores")
        return self._encode(histories) @ self._item_VD.T


def served(
    model: SequenceModel, item_VD: FloatArray, config: SequenceConfig
) -> Callable[[Sequence[History]], FloatArray]:
    """Return the encoder as a function of histories."""
    length = config.encoder.max_length
    if config.device == "cpu":
        source = SequenceSource(open_session(export_encoder(model.encoder)), item_VD, length)
        return lambda histories: source.encode(list(histories))
    return TorchEncoder(model, length)


@dataclass(frozen=True)
class TorchEncoder:
    """The encoder on the device it was trained on."""

    model: SequenceModel
    max_length: int

    def __call__(self, histories: Sequence[History]) -> FloatArray:
        """Return state_BD."""
        batch = collate(histories, self.max_length)
        self.model.eval()
        with torch.inference_mode():
            item_VD = self.model.items.all()
            arrays = (batch.type_BL, batch.age_s_BL, batch.mask_BL)
            inputs = [torch.from_numpy(array).to(item_VD.device) for array in arrays]
            vector_BLD = item_VD[torch.from_numpy(batch.code_BL).to(item_VD.device)]
            state_BD: FloatArray = LastState(self.model.encoder)(vector_BLD, *inputs).float().cpu().numpy()
        return state_BD


@dataclass(frozen=True)
class RecordedValidation(NextBasketValidation):
    """Validation that remembers every epoch's score and when it came."""

    seen: list[tuple[float, float]] = field(default_factory=list)
    """NDCG@10 and the time when it was known"""

    def __call__(self, model: SequenceModel) -> float:
        """Return the mean NDCG@10."""
        score = super().__call__(model)
        self.seen.append((score, time.perf_counter()))
        return score

    def training(self, began_s: float) -> Training:
        """Return how training went; of a run that went on from a checkpoint only the epochs of this process."""
        if not self.seen:
            return Training()
        curve = tuple(score for score, _ in self.seen)
        best = int(np.argmax(curve))
        return Training(best + 1, (self.seen[-1][1] - began_s) / len(curve), curve, self.seen[best][1] - began_s)


def recorded_validation(task: QualityTask, max_length: int) -> RecordedValidation:
    """Return the questions that choose the epoch."""
    questions = task.validation.sample(CHOICE_QUESTIONS, CHOICE_SEED)
    return RecordedValidation(questions.histories, questions.targets, max_length, repeats=not questions.hide_seen)


def usual_length(task: QualityTask) -> int:
    """Return 200 events where most users have more than 50 in training, else 50, as in the published tables."""
    return 200 if np.median(np.diff(task.train.start_U1)) > 50 else 50


def usual_dropout(task: QualityTask) -> float:
    """Return 0.5 below 50 events an item, as on the Amazon sets, else 0.2, as on MovieLens."""
    return 0.5 if len(task.train) < 50 * task.num_items else 0.2


def transformer() -> EncoderModel:
    """The Transformer that the product serves, with its item features."""

    def configure(task: QualityTask) -> SequenceConfig:
        encoder = EncoderConfig(max_length=usual_length(task), dropout=usual_dropout(task))
        return SequenceConfig(encoder=encoder, epochs=60, patience=5)

    return EncoderModel(configure, with_sides=True)


def sasrec() -> EncoderModel:
    """SASRec with full softmax: no gates, no times, no item features, random start."""

    def configure(task: QualityTask) -> SequenceConfig:
        encoder = EncoderConfig.plain(64, usual_length(task), usual_dropout(task))
        return SequenceConfig(encoder=encoder, epochs=60, patience=5, learning_rate=1e-3, average=0.0, svd_start=False)

    return EncoderModel(configure, with_sides=False)
