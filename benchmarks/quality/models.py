"""The rows of the quality table.

Called by   row_process.py (a row by its name), __main__.py (which there are)
Sources     what counts is fitted and served by the product's own code: a row is a fit function and a candidate source
Neural      encoder_models.py, imported when such a row is made, since torch is large
Dimensions  B histories, V items
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from benchmarks.quality.row import QualityModel, Row, Training
from benchmarks.quality.task import QualityTask
from services.training.collaborative.ease import EaseConfig, fit_ease
from services.training.collaborative.ials import IalsConfig, fit_ials
from services.training.collaborative.interactions import taste_matrix
from services.training.collaborative.item_cf import fit_item_cf
from services.training.collaborative.popularity import fit_popularity
from services.training.collaborative.svd import fit_svd
from services.training.collaborative.transitions import MARKOV, TransitionConfig, fit_transitions
from services.training.collaborative.user_cf import fit_user_cf
from services.training.errors import TooLittleDataError
from services.training.examples.sequences import Sequences
from services.training.progress import Report
from shared.features.events import FloatArray
from shared.models.sources.ials import IalsSource
from shared.models.sources.neighbours import NeighbourSource
from shared.models.sources.scores import DenseScores, SourceScores, SparseScores
from shared.models.sources.svd import SvdSource
from shared.models.sources.transitions import TransitionSource
from shared.models.sources.user_cf import UserCfSource
from shared.models.tensors import History

DAY_MS = 86_400_000
HALF_LIFE_DAYS = 90.0
FOR_EVER_DAYS = 1e9


class HistorySource(Protocol):
    """What every candidate source of shared/models/sources is."""

    def scores(self, history: History) -> SourceScores:
        """Return scores over item codes."""
        ...


FitSource = Callable[[Sequences, QualityTask, int], HistorySource]
"""(log to count, task, seed) → a source that serves what was counted"""


class SourceModel:
    """A candidate source of the product as a row."""

    def __init__(self, fit_source: FitSource) -> None:
        self._fit_source, self.training = fit_source, Training()
        self._source: HistorySource | None = None
        self._num_items = 0

    def fit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Count `task.train`."""
        self._source, self._num_items = self._fit_source(task.train, task, seed), task.num_items

    def refit(self, task: QualityTask, seed: int, report: Report) -> None:
        """Count `task.refit`."""
        self._source, self._num_items = self._fit_source(task.refit, task, seed), task.num_items

    def scores(self, histories: Sequence[History]) -> FloatArray:
        """Ask the source one history after the other, as serving does; what it does not know scores 0."""
        if self._source is None:
            raise RuntimeError("fit comes before scores")
        score_BV = np.zeros((len(histories), self._num_items), np.float32)
        for row_V, history in zip(score_BV, histories, strict=True):
            fill(row_V, self._source.scores(history))
        return score_BV


def fill(row_V: FloatArray, scores: SourceScores) -> None:
    """Write the scores of a source into a row of zeros."""
    if isinstance(scores, SparseScores):
        row_V[scores.code_C] = scores.score_C
    else:
        row_V[:] = scores.at(np.arange(len(row_V), dtype=np.int32))


@dataclass(frozen=True)
class SameForAll:
    """A source that asks for no history."""

    score_V: FloatArray

    def scores(self, history: History) -> SourceScores:
        """Return the one list there is."""
        return DenseScores(self.score_V)


def popularity() -> QualityModel:
    """All events of the log count; in a shop with purchases only those do."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        no_category_V = np.full(task.num_items, -1, np.int32)
        return SameForAll(fit_popularity(sequences, no_category_V, 0, FOR_EVER_DAYS).weight_V)

    return SourceModel(count)


def recent_popularity(days: float = 7.0) -> QualityModel:
    """Only the events of the last days of the log count."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        timed = task.timed(sequences)
        if not len(timed):
            raise TooLittleDataError("the log is empty")
        recent_E = timed.at_ms_E > timed.at_ms_E.max() - days * DAY_MS
        return SameForAll(np.bincount(timed.code_E[recent_E], minlength=task.num_items).astype(np.float32))

    return SourceModel(count)


def markov(to_power: float) -> QualityModel:
    """The chance of each item to come right after the newest, divided by a power of how often it comes at all."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        config = replace(MARKOV, to_power=to_power)
        return TransitionSource("markov", fit_transitions(sequences, task.num_items, config, task.threads))

    return SourceModel(count)


def item_knn(to_power: float, backward: float, steps: int = 10, decay: float = 0.8) -> QualityModel:
    """Sequential item-kNN: what follows the last steps within ten steps, the newest counting most."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        config = TransitionConfig(to_power=to_power, backward=backward, votes=steps, vote_decay=decay)
        return TransitionSource("item_knn", fit_transitions(sequences, task.num_items, config, task.threads))

    return SourceModel(count)


def item_cf(neighbours: int, shrinkage: float) -> QualityModel:
    """The product's item-CF."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        taste_UV = taste_matrix(sequences, task.num_items, HALF_LIFE_DAYS)
        return NeighbourSource("item_cf", fit_item_cf(taste_UV, neighbours, shrinkage, task.threads))

    return SourceModel(count)


def user_cf() -> QualityModel:
    """The product's user-CF."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        return UserCfSource(fit_user_cf(taste_matrix(sequences, task.num_items, HALF_LIFE_DAYS), seed))

    return SourceModel(count)


def svd(factors: int, damping: float) -> QualityModel:
    """The product's PureSVD."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        return SvdSource(fit_svd(taste_matrix(sequences, task.num_items, HALF_LIFE_DAYS), factors, damping, seed))

    return SourceModel(count)


def ials(factors: int, unobserved: float) -> QualityModel:
    """Implicit ALS; a history is folded in."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        taste_UV = taste_matrix(sequences, task.num_items, HALF_LIFE_DAYS)
        return IalsSource(fit_ials(taste_UV, IalsConfig(factors=factors, unobserved=unobserved), seed, task.threads))

    return SourceModel(count)


def ease(penalty: float) -> QualityModel:
    """EASE over the items with the most events."""

    def count(sequences: Sequences, task: QualityTask, seed: int) -> HistorySource:
        taste_UV = taste_matrix(sequences, task.num_items, HALF_LIFE_DAYS)
        return NeighbourSource("ease", fit_ease(taste_UV, EaseConfig(penalty=penalty)))

    return SourceModel(count)


def transformer() -> QualityModel:
    """The product's sequence Transformer."""
    from benchmarks.quality import encoder_models

    return encoder_models.transformer()


def sasrec() -> QualityModel:
    """SASRec with full softmax."""
    from benchmarks.quality import encoder_models

    return encoder_models.sasrec()


def fused() -> QualityModel:
    """The product's fusion of all sources."""
    from benchmarks.quality import fused_model

    return fused_model.FusedModel(transformer())


def product_of(**values: Sequence[Any]) -> tuple[Mapping[str, Any], ...]:
    """Return every combination of some values, as keywords."""
    grid: tuple[dict[str, Any], ...] = ({},)
    for name, choices in values.items():
        grid = tuple({**known, name: choice} for known in grid for choice in choices)
    return grid


ROWS: tuple[Row, ...] = (
    Row("popularity", popularity),
    Row("recent_popularity", recent_popularity),
    Row("markov", markov, product_of(to_power=(0.0, 0.1, 0.2, 0.3, 0.5, 0.7))),
    Row("item_knn", item_knn, product_of(to_power=(0.0, 0.25, 0.5), backward=(0.0, 1.0))),
    Row("item_cf", item_cf, product_of(neighbours=(100, 200, 500), shrinkage=(0.0, 1.0))),
    Row("user_cf", user_cf),
    Row("svd", svd, product_of(factors=(32, 96, 256), damping=(0.0, 0.3)), stochastic=True),
    Row("ials", ials, product_of(factors=(64, 128), unobserved=(0.1, 0.3, 1.0)), stochastic=True),
    Row("ease", ease, product_of(penalty=(0.02, 0.05, 0.1, 0.2, 0.4, 0.8))),
    Row("sasrec", sasrec, stochastic=True),
    Row("transformer", transformer, stochastic=True),
    Row("fused", fused, stochastic=True),
)
"""Six configurations for every row that has something to choose."""


def row_named(name: str) -> Row:
    """Return a row; ValueError names those there are."""
    for row in ROWS:
        if row.name == name:
            return row
    raise ValueError(f"there is no model {name!r}: choose from {', '.join(row.name for row in ROWS)}")
