"""A sequence Transformer small enough for tests, and a log it can learn.

Called by   tests/unit/training, tests/integration/test_training_torchrun.py (as a program: prints its losses as JSON)
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from services.training.examples.sequences import build_sequences
from services.training.sequence.config import SequenceConfig
from services.training.sequence.distributed import Team, joined_team
from services.training.sequence.model import SequenceModel
from services.training.sequence.repeatable import repeatable
from services.training.sequence.sides import ItemSides, Kind
from services.training.sequence.trainer import SequenceTrainer, Surroundings, TrainingTask, Validate
from shared.features.events import FloatArray
from shared.models.encoder import EncoderConfig
from tests.unit.training.small_logs import every_row, random_log

ITEMS = 24
CONFIG = SequenceConfig(
    EncoderConfig(dim=16, blocks=1, heads=2, max_length=16, dropout=0.0),
    suit=False,
    epochs=3,
    tokens_per_batch=256,
    learning_rate=5e-3,
    negatives=12,
    full_softmax_up_to=0,
    threads=1,
)


def small_model(config: SequenceConfig = CONFIG) -> SequenceModel:
    """Return an untrained model; equal calls give equal weights."""
    import torch

    torch.manual_seed(config.seed)
    kind = np.arange(ITEMS, dtype=np.int32)
    sides = ItemSides({"category": Kind(kind // 12, 2), "brand": Kind(kind % 3, 3)}, text_vectors())
    return SequenceModel(config.encoder, ITEMS, sides)


def text_vectors() -> FloatArray:
    """Return vectors of unit length that tell the halves of the shop apart a little."""
    vector_VT = np.random.default_rng(4).normal(size=(ITEMS, 5)) + (np.arange(ITEMS) // 12)[:, None]
    return (vector_VT / np.linalg.norm(vector_VT, axis=1, keepdims=True)).astype(np.float32)


def small_task(fingerprint: str = "") -> TrainingTask:
    """Return twelve shoppers who keep to their half of the shop."""
    sequences = build_sequences(random_log(12, ITEMS, 60), every_row(ITEMS))
    return TrainingTask(sequences, np.bincount(sequences.code_E, minlength=ITEMS).astype(np.int64), fingerprint)


def trained(
    config: SequenceConfig = CONFIG,
    validate: Validate = lambda model: 0.0,
    team: Team = Team(),  # noqa: B008 - frozen
    checkpoints: Path | None = None,
) -> SequenceTrainer:
    """Return a trainer after its run."""
    with repeatable(config, team):
        trainer = SequenceTrainer(
            small_model(config), small_task("small"), config, validate, Surroundings(team, checkpoints)
        )
        trainer.run()
    return trainer


if __name__ == "__main__":
    with joined_team("cpu") as member:
        done = trained(replace(CONFIG, patience=9), team=member)
        if member.leads:
            weights = [float(parameter.detach().double().sum()) for parameter in done.model.parameters()]
            Path(sys.argv[1]).write_text(json.dumps({"losses": done.state.losses, "weights": weights}))
