"""Lists that are more than their best items one by one: three greedy ways to weigh relevance against variety.

Called by   services/ranking/rerank/rerank.py, which takes the candidate with the highest gain, tells it, and asks again
In          base_C, what each candidate is worth alone, already weighed by `relevance_weight`; strength s, 0..1
            (0: order by relevance; 1: variety alone, where relevance breaks ties and chooses the first item)
Ways        dpp         log-probability of a determinantal point process, (1 - s) Σ relevance + s log det(likeness);
                        each step adds log d², and d² is kept up to date by one row of a Cholesky factor
            mmr         (1 - s) relevance - s · the greatest likeness to an item of the list
            calibrated  (1 - s) mean relevance - s KL(p ‖ q), p the shopper's mix of top categories, q the list's
Source      Chen, Zhang and Zhou, "Fast greedy MAP inference for determinantal point process", NeurIPS 2018;
            Carbonell and Goldstein, "The use of MMR", SIGIR 1998; Steck, "Calibrated recommendations", RecSys 2018
Cost        a step is a few products of a vector with a [C, D] matrix; `make bench-rerank` prints it
Dimensions  C candidates, D width of the content vectors, K places, T top categories
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray, LongArray

LEAST_RELEVANCE = 1e-3
"""what relevance weighs at strength 1: enough to break ties"""
LEAST_LEFT = np.float32(1e-3)
"""d² of an item that the list holds already in all but name: the kernel is this share of the identity, else likeness"""
CONTENT_SHARE, TOP_SHARE, LEAF_SHARE = ((1 - float(LEAST_LEFT)) * share for share in (0.5, 0.25, 0.25))
SMOOTHING = 0.01
"""share of p in q, so that a category that the list lacks costs much and not everything; Steck's alpha"""


class Variety(Protocol):
    """The state of one list in the making."""

    def gain_C(self) -> FloatArray:
        """Return what each candidate would add now; of items already taken it may say anything."""
        ...

    def take(self, place: int) -> None:
        """Learn that a candidate is now in the list."""
        ...


@dataclass(frozen=True)
class ByRelevance:
    """No variety: for lists that only rules and novelty keep from the pure order."""

    base_C: FloatArray

    def gain_C(self) -> FloatArray:
        return self.base_C

    def take(self, place: int) -> None:
        """Change nothing."""


def likeness_features(catalogue: Catalogue, row_C: IntArray, vector_CD: FloatArray, spare: int = 0) -> FloatArray:
    """Return [C, W + spare] whose rows' product says how alike two different items are, at most 1 - LEAST_LEFT.

    Half of that for the cosine of their content, a quarter each for a common top and leaf category. As a sum of kernels
    it is one itself. An item without text or without a category is like no other in that respect. Spare columns are 0.
    """
    top, leaf = _shared(catalogue.top_category_N[row_C]), _shared(catalogue.leaf_category_N[row_C])
    width = vector_CD.shape[1]
    # One array, written in place: fresh memory for every step of it would cost more than the arithmetic.
    feature_CW = np.zeros((len(row_C), width + top.number + leaf.number + spare), np.float32)
    np.multiply(vector_CD, np.float32(CONTENT_SHARE**0.5), out=feature_CW[:, :width])
    feature_CW[top.place_P, width + top.column_P] = TOP_SHARE**0.5
    feature_CW[leaf.place_P, width + top.number + leaf.column_P] = LEAF_SHARE**0.5
    return feature_CW


@dataclass(frozen=True)
class _Shared:
    """The known codes that at least two candidates have; a column for any other would only ever be multiplied by 0."""

    number: int
    place_P: LongArray
    """candidates that have one of them"""
    column_P: LongArray
    """which of them"""


def _shared(code_C: IntArray) -> _Shared:
    shared_X = np.bincount(code_C) > 1
    shared_X[0] = False
    place_P = np.flatnonzero(shared_X[code_C])
    column_X = np.cumsum(shared_X) - 1
    return _Shared(int(np.count_nonzero(shared_X)), place_P, column_X[code_C[place_P]])


class Dpp:
    """Fast greedy MAP inference.

    `both_CY` holds the features and in its last `limit` columns, 0 as yet, the Cholesky factor: a step is one product.
    """

    def __init__(self, base_C: FloatArray, both_CY: FloatArray, strength: float, limit: int) -> None:
        self._base_C, self._both_CY, self._strength = base_C, both_CY, np.float32(strength)
        self._left_C = np.ones(len(base_C), np.float32)
        """d²: how much of each item is not yet said by the items of the list"""
        self._next_column = both_CY.shape[1] - limit
        self._sign_Y = np.ones(both_CY.shape[1], np.float32)
        self._sign_Y[self._next_column :] = -1

    def gain_C(self) -> FloatArray:
        gain_C = np.log(self._left_C)
        gain_C *= self._strength
        gain_C += self._base_C
        return gain_C

    def take(self, place: int) -> None:
        column_C = self._both_CY @ (self._both_CY[place] * self._sign_Y)
        column_C /= np.sqrt(self._left_C[place])
        self._both_CY[:, self._next_column] = column_C
        self._next_column += 1
        column_C *= column_C
        self._left_C -= column_C
        np.maximum(self._left_C, LEAST_LEFT, out=self._left_C)


class Mmr:
    """Maximal marginal relevance."""

    def __init__(self, base_C: FloatArray, feature_CW: FloatArray, strength: float) -> None:
        self._base_C, self._feature_CW, self._strength = base_C, feature_CW, np.float32(strength)
        self._nearest_C: FloatArray | None = None

    def gain_C(self) -> FloatArray:
        return self._base_C if self._nearest_C is None else self._base_C - self._strength * self._nearest_C

    def take(self, place: int) -> None:
        like_C = self._feature_CW @ self._feature_CW[place]
        self._nearest_C = like_C if self._nearest_C is None else np.maximum(self._nearest_C, like_C)


class Calibrated:
    """The shopper's mix of categories."""

    def __init__(
        self, base_C: FloatArray, category_C: IntArray, wanted_T: FloatArray, strength: float, limit: int
    ) -> None:
        self._base_C, self._category_C, self._wanted_T = base_C, category_C, wanted_T
        # Relevance stands for the mean over the list, so the distance counts once for each of its places.
        self._weight = np.float32(strength * limit)
        self._count_T = np.zeros(len(wanted_T), np.float32)

    @staticmethod
    def of(base_C: FloatArray, category_C: IntArray, wanted_T: FloatArray, strength: float, limit: int) -> "Calibrated":
        """Return the state over the wanted categories only; the last of its categories stands for all others."""
        wanted = np.flatnonzero(wanted_T)
        place_T = np.full(len(wanted_T), len(wanted), np.int32)
        place_T[wanted] = np.arange(len(wanted))
        return Calibrated(base_C, place_T[category_C], np.append(wanted_T[wanted], np.float32(0)), strength, limit)

    def gain_C(self) -> FloatArray:
        size = self._count_T.sum() + 1
        absent_T = self._cost(self._count_T / size)
        present_T = self._cost((self._count_T + 1) / size)
        distance_T = absent_T.sum() - absent_T + present_T
        gain_C: FloatArray = self._base_C - self._weight * distance_T[self._category_C]
        return gain_C

    def take(self, place: int) -> None:
        self._count_T[self._category_C[place]] += 1

    def _cost(self, share_T: FloatArray) -> FloatArray:
        """Return each category's part of KL(p ‖ q)."""
        smooth_T = (1 - SMOOTHING) * share_T + SMOOTHING * self._wanted_T
        safe_T = np.where(self._wanted_T > 0, self._wanted_T / np.maximum(smooth_T, 1e-12), 1.0)
        cost_T: FloatArray = (self._wanted_T * np.log(safe_T)).astype(np.float32)
        return cost_T


def relevance_weight(strength: float) -> float:
    """Return what relevance weighs beside variety."""
    return max(1.0 - strength, LEAST_RELEVANCE)


def wanted_mix(catalogue: Catalogue, preference: Mapping[str, float]) -> FloatArray:
    """Return a shopper's share of each top category of the catalogue, by its code; all 0 when none is known."""
    wanted_T = np.zeros(len(catalogue.categories), np.float32)
    for name, share in preference.items():
        wanted_T[catalogue.categories.code(name)] += share
    wanted_T[0] = 0  # names that the catalogue does not know
    return wanted_T / np.float32(max(float(wanted_T.sum()), 1e-9))
