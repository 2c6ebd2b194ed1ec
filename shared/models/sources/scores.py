"""What a candidate source answers: scores over item codes, dense or sparse, with one interface.

Called by   every source in this folder (makes them), shared/models/recommender.py (reads them)
Cost        a pass or two over the vocabulary, whatever the history: tens of microseconds at 30,000 items
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.features.events import FloatArray, IntArray, LongArray
from shared.models.tensors import BoolArray, History

TYPE_WEIGHT_BY_CODE = np.array([0, 0.3, 0.5, 0.7, 0, 0.5, 1, 0, 0, 0, 0], np.float32)
"""How much an event of each type (EVENT_TYPE_CODES) says about taste; only POSITIVE_TYPES reach a history."""
DECAY_HALF_LIFE_MS = 30 * 86_400_000
SAMPLE = 500
"""scores that `best_first` sorts to guess a bound; with more the sorting takes longer than the comparing it saves"""
SPARE = 4
"""`best_first` looks at about this many times the scores it is asked for"""


class SourceScores(Protocol):
    """Scores of one source for one request; an item that the source does not know scores 0."""

    def top(self, limit: int, allowed_V: BoolArray | None) -> IntArray:
        """Return at most `limit` item codes with positive scores, best first, only allowed ones."""
        ...

    def at(self, code_C: IntArray) -> FloatArray:
        """Return the score of each code."""
        ...


@dataclass(frozen=True)
class DenseScores:
    """A score for every item of the vocabulary; any sign, all items are candidates."""

    score_V: FloatArray

    def top(self, limit: int, allowed_V: BoolArray | None) -> IntArray:
        score_V = self.score_V if allowed_V is None else np.where(allowed_V, self.score_V, -np.inf)
        best = best_first(score_V, limit)
        return best[np.isfinite(score_V[best])].astype(np.int32)

    def at(self, code_C: IntArray) -> FloatArray:
        return self.score_V[code_C]


@dataclass(frozen=True)
class PositiveScores:
    """Sums over a few items of the vocabulary; an item with 0 is no candidate."""

    score_V: FloatArray

    def top(self, limit: int, allowed_V: BoolArray | None) -> IntArray:
        # With so many candidates that a sample shows where the best begin, the others need not be gathered.
        if allowed_V is None and np.count_nonzero(self.score_V > 0) > SPARE * SPARE * limit:
            best = best_first(self.score_V, limit)
            return best[self.score_V[best] > 0].astype(np.int32)
        return self.sparse().top(limit, allowed_V)

    def at(self, code_C: IntArray) -> FloatArray:
        return self.score_V[code_C]

    def sparse(self) -> "SparseScores":
        """Return the candidates alone."""
        code_C = np.flatnonzero(self.score_V > 0).astype(np.int32)
        return SparseScores(code_C, self.score_V[code_C])


@dataclass(frozen=True)
class SparseScores:
    """Positive scores of a few items; `code_C` ascends."""

    code_C: IntArray
    score_C: FloatArray

    def top(self, limit: int, allowed_V: BoolArray | None) -> IntArray:
        code_C, score_C = self.code_C, self.score_C
        if allowed_V is not None:
            keep = allowed_V[code_C]
            code_C, score_C = code_C[keep], score_C[keep]
        return code_C[best_first(score_C, limit)]

    def at(self, code_C: IntArray) -> FloatArray:
        if not len(self.code_C):
            return np.zeros(len(code_C), np.float32)
        place = np.searchsorted(self.code_C, code_C)
        place[place == len(self.code_C)] = 0
        return np.where(self.code_C[place] == code_C, self.score_C[place], np.float32(0))


EMPTY_SCORES = SparseScores(np.empty(0, np.int32), np.empty(0, np.float32))


def best_first(score_X: FloatArray, limit: int) -> npt.NDArray[np.int64]:
    """Return the places of the `limit` highest scores, best first; ties by place, so that answers repeat."""
    if len(score_X) <= limit:
        return np.argsort(-score_X, kind="stable")
    high = _high_places(score_X, limit)
    score_H = score_X[high]
    # Sorting places costs more than sorting numbers: what is below the last place goes first.
    kept_H = score_H >= highest(score_H, limit)
    high, score_H = high[kept_H], score_H[kept_H]
    best: npt.NDArray[np.int64] = high[np.argsort(-score_H, kind="stable")[:limit]]
    return best


def _high_places(score_X: FloatArray, limit: int) -> npt.NDArray[np.int64]:
    """Return ascending places that hold the `limit` highest scores and not many more.

    A sample of the scores guesses a bound that a few times `limit` reach: comparing is ten times faster than sorting.
    """
    sample_S = score_X[:: max(1, len(score_X) // SAMPLE)]
    wanted = SPARE * limit * len(sample_S) // len(score_X) + 1
    if wanted < len(sample_S):
        high = np.flatnonzero(score_X >= highest(sample_S, wanted))
        if len(high) >= limit:
            return high
    return np.flatnonzero(score_X >= highest(score_X, limit))


def highest(score_X: FloatArray, place: int) -> np.float32:
    """Return the score at a place from the top, counted from 1.

    np.partition takes thirteen times as long as np.sort where most of 2,000 scores are equal, as zeros are.
    """
    score: np.float32 = np.sort(score_X)[-place]
    return score


def accumulate(code_X: IntArray | LongArray, weight_X: FloatArray, size: int) -> FloatArray:
    """Return the sums of the weights of equal codes, added in the order given; padding (-1) must weigh 0.

    np.bincount would first turn both arrays into 64 bits, which takes six times as long as the sum.
    """
    sum_V = np.zeros(size, np.float32)
    np.add.at(sum_V, code_X, weight_X)
    return sum_V


# The sources ask for the taste of the same history, one after the other, with the same few limits.
@lru_cache(maxsize=4)
def taste(history: History, limit: int | None = None) -> SparseScores:
    """Return how much the shopper likes each item of their history: event type weights, halved every 30 days.

    Time runs from the newest event, not from now, so a shopper who returns after a year is known by what they did last.
    With `limit`, only the heaviest items.
    """
    if not len(history):
        return EMPTY_SCORES
    if limit is None:
        return _whole_taste(history)
    liked = taste(history)
    if len(liked.code_C) <= limit:
        return liked
    heaviest = np.sort(best_first(liked.score_C, limit))
    return SparseScores(liked.code_C[heaviest], liked.score_C[heaviest])


def _whole_taste(history: History) -> SparseScores:
    age_L = (history.at_ms_L[-1] - history.at_ms_L) / DECAY_HALF_LIFE_MS
    weight_L = (TYPE_WEIGHT_BY_CODE[history.type_L] * np.exp2(-age_L)).astype(np.float32)
    code_C, place_L = np.unique(history.code_L, return_inverse=True)
    return SparseScores(code_C, accumulate(place_L, weight_L, len(code_C)))
