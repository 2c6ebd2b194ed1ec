"""What a candidate source answers: scores over item codes, dense or sparse, with one interface.

Called by   every source in this folder (makes them), shared/models/recommender.py (reads them)
Cost        SparseScores costs what the history costs, whatever the size of the catalogue; DenseScores one pass over it
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.features.events import FloatArray, IntArray
from shared.models.tensors import BoolArray, History

TYPE_WEIGHT_BY_CODE = np.array([0, 0.3, 0.5, 0.7, 0, 0.5, 1, 0, 0, 0, 0], np.float32)
"""How much an event of each type (EVENT_TYPE_CODES) says about taste; only POSITIVE_TYPES reach a history."""
DECAY_HALF_LIFE_MS = 30 * 86_400_000


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
    part = np.sort(np.argpartition(-score_X, limit)[:limit])
    return part[np.argsort(-score_X[part], kind="stable")]


def accumulate(code_X: IntArray, weight_X: FloatArray) -> SparseScores:
    """Sum the weights of equal codes; negative codes are padding and fall away."""
    keep = code_X >= 0
    code_X, weight_X = code_X[keep], weight_X[keep]
    if not len(code_X):
        return EMPTY_SCORES
    order = np.argsort(code_X, kind="stable")
    code_X = code_X[order]
    starts = np.flatnonzero(np.r_[True, code_X[1:] != code_X[:-1]])
    return SparseScores(code_X[starts], np.add.reduceat(weight_X[order], starts))


def taste(history: History, limit: int | None = None) -> SparseScores:
    """Return how much the shopper likes each item of their history: event type weights, halved every 30 days.

    Time runs from the newest event, not from now, so a shopper who returns after a year is known by what they did last.
    With `limit`, only the heaviest items.
    """
    if not len(history):
        return EMPTY_SCORES
    age_L = (history.at_ms_L[-1] - history.at_ms_L) / DECAY_HALF_LIFE_MS
    weight_L = (TYPE_WEIGHT_BY_CODE[history.type_L] * np.exp2(-age_L)).astype(np.float32)
    liked = accumulate(history.code_L, weight_L)
    if limit is None or len(liked.code_C) <= limit:
        return liked
    heaviest = np.sort(best_first(liked.score_C, limit))
    return SparseScores(liked.code_C[heaviest], liked.score_C[heaviest])
