"""Where an interrupted training run goes on: everything that decides the rest of the run, in one file.

Called by   services/training/sequence/trainer.py, after every epoch
Write       to a temporary name, flushed, renamed: an interrupted write leaves the checkpoint before
Read        with weights_only, so that a checkpoint cannot run code; one of another configuration is not taken
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

FILE_NAME = "sequence.checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after some epochs."""

    fingerprint: str
    """hash of the configuration and the training data: another run's checkpoint does not fit"""
    epochs_done: int
    losses: list[float]
    model: dict[str, Any]
    optimiser: dict[str, Any]
    average: dict[str, Any]
    best_score: float
    best_model: dict[str, Any]
    epochs_without_gain: int


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write the checkpoint, replacing the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    with temporary.open("wb") as file:
        torch.save(vars(checkpoint), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / FILE_NAME)


def load_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """Return the checkpoint of this very run, None when there is none."""
    path = folder / FILE_NAME
    if not path.exists():
        return None
    stored = torch.load(path, map_location="cpu", weights_only=True)
    return Checkpoint(**stored) if stored["fingerprint"] == fingerprint else None


def remove_checkpoint(folder: Path) -> None:
    """Forget a run that is done."""
    (folder / FILE_NAME).unlink(missing_ok=True)
