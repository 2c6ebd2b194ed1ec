"""The encoders that are compressed: the product's, and a deep teacher, trained on Amazon Beauty by the product's code.

Called by   benchmarks/compression/__main__.py
Data        leave-one-out as in benchmarks/quality: learned from `train`, the epoch chosen on validation
Kept        checkpoints and tuned variants in the work folder: a second run, or one that was interrupted, trains only
            what is missing, and may measure on a machine that has nothing else to do
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import safetensors
import safetensors.torch

from benchmarks.quality.data_sets.data_set import LEAVE_ONE_OUT
from benchmarks.quality.data_sets.registry import open_data_set
from benchmarks.quality.encoder_models import CHOICE_QUESTIONS, CHOICE_SEED, usual_length
from benchmarks.quality.protocols import NO_QUERY_TIME, make_benchmark
from benchmarks.quality.task import QualityTask, Questions
from services.training.progress import Report, under
from services.training.sequence.config import SequenceConfig
from services.training.sequence.fit import FittedEncoder, Material, fingerprint, fit_encoder, suited_to
from services.training.sequence.model import SequenceModel
from services.training.sequence.sides import sides_of
from services.training.sequence.validation import NextBasketValidation
from shared.models.encoder import EncoderConfig

DATA_SET = "amazon-beauty"
TEACHER_BLOCKS = 6


@dataclass(frozen=True)
class Ground:
    """What encoders are trained and judged on."""

    task: QualityTask
    test: Questions
    material: Material
    config: SequenceConfig
    """suited to the data"""
    work: Path

    @property
    def validation(self) -> NextBasketValidation:
        """Return the questions that choose the epoch."""
        asked = self.task.validation.sample(CHOICE_QUESTIONS, CHOICE_SEED)
        length = self.config.encoder.max_length
        return NextBasketValidation(asked.histories, asked.targets, length, repeats=not asked.hide_seen)

    def trained(self, blocks: int, report: Report) -> FittedEncoder:
        """Return the encoder with so many blocks."""
        config = replace(self.config, encoder=replace(self.config.encoder, blocks=blocks))
        folder = self.work / f"{blocks}-blocks"
        return fit_encoder(
            self.material, self.validation, config, checkpoints=folder, report=under(folder.name, report)
        )

    def kept(self, name: str, make: Callable[[], SequenceModel]) -> SequenceModel:
        """Return the variant of this name as it was tuned before on the same log, else make it and keep it."""
        path, of = self.work / f"{name}.safetensors", fingerprint(self.material, self.config)
        if path.exists():
            with safetensors.safe_open(path, "pt") as file:
                facts = file.metadata()
                if facts["of"] == of:
                    config = EncoderConfig(**json.loads(facts["encoder"]))
                    model = SequenceModel(config, self.task.num_items, self.material.sides)
                    model.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
                    return model.eval()
        model = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"of": of, "encoder": json.dumps(asdict(model.encoder.config))}
        weights = {key: weight.contiguous() for key, weight in model.state_dict().items()}
        safetensors.torch.save_file(weights, path, facts)
        return model.eval()


def open_ground(work: Path, threads: int) -> Ground:
    """Read the data."""
    data_set = open_data_set(DATA_SET)
    benchmark = make_benchmark(data_set.interactions, data_set.splits[LEAVE_ONE_OUT], data_set.hide_seen, NO_QUERY_TIME)
    task = benchmark.task
    material = Material(task.train, task.vocabulary, sides_of(task.catalogue, task.vocabulary.row_V))
    wanted = SequenceConfig(encoder=EncoderConfig(max_length=usual_length(task)), threads=threads)
    return Ground(task, benchmark.test, material, suited_to(material, wanted), work)
