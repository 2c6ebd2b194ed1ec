"""What a recommender must answer to stand in the quality table.

Called by   models.py lists the rows, measure.py runs them
A row       makes one model for each configuration of its grid; the best on validation is refitted on train + validation
            and asked the test questions. Rows that count do learn from the validation events, neural rows only use them
            to choose the epoch (QualityModel.refit says which)
Errors      TrainingError from `fit` when a row cannot be had on this data: it is listed as not run, with the reason
Dimensions  B histories, V items
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.quality.task import QualityTask
from services.training.progress import Report
from shared.features.events import FloatArray
from shared.models.tensors import History


@dataclass(frozen=True)
class Training:
    """How a model that trains in epochs got there; empty for a model that counts."""

    epochs: int = 0
    """epochs until the best one on validation"""
    s_per_epoch: float = 0.0
    curve: tuple[float, ...] = ()
    """validation NDCG@10 after each epoch"""
    s_to_best: float = 0.0
    """time until the best epoch was validated"""
    fit_s: float | None = None
    """time of all epochs and their validation, also those of an earlier process; None for a model that counts"""


class QualityModel(Protocol):
    """A recommender in the benchmark."""

    training: Training

    def fit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Learn from `task.train`; epochs and weights are chosen on `task.validation`."""
        ...

    def refit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Learn from `task.refit` what the model counts, keeping what was chosen; nothing for a model that trains."""
        ...

    def scores(self, histories: Sequence[History]) -> FloatArray:
        """Return score_BV, float32; -inf means never. Items of the history are hidden by the benchmark, not here."""
        ...


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    make: Callable[..., QualityModel]
    """called with the keywords of one configuration"""
    grid: tuple[Mapping[str, Any], ...] = field(default=({},))
    """the configurations tried on validation"""
    stochastic: bool = False
    """whether a seed changes the result; such rows run once a seed"""
