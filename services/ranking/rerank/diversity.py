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
from shared.features.events import FloatArray, IntArray

LEAST_RELEVANCE = 1e-3
"""what relevance weighs at strength 1: enough to break ties"""
LEAST_LEFT = np.float32(1e-3)
"""d² of an item that the list holds already in all but name: the kernel is this share of the identity, else likeness"""
CONTENT_SHARE, CATEGORY_SHARE = 0.5 * (1 - LEAST_LEFT), 0.25 * (1 - LEAST_LEFT)
"""of the likeness; the second for the top category, and again for the leaf category"""
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


class Likeness:
    """How alike two different items are, at most 1 - LEAST_LEFT.

    Half of that for the cosine of their content, a quarter each for a common top and leaf category. As a sum of kernels
    it is one itself. An item without text or without a category is like no other in that respect.
    """

    def __init__(self, vector_CD: FloatArray, top_C: IntArray, leaf_C: IntArray, spare: int = 0) -> None:
        # Few top categories, so a column each; many leaves, so they are compared, and only where two items share one.
        present_X = np.bincount(top_C) > 0
        present_X[0] = False
        column_X, width = np.cumsum(present_X), vector_CD.shape[1]
        self.feature_CY = np.zeros((len(vector_CD), width + int(column_X[-1]) + spare), np.float32)
        """rows whose product is the part of the content and the top category; the last `spare` columns are 0"""
        np.multiply(vector_CD, np.float32(CONTENT_SHARE**0.5), out=self.feature_CY[:, :width])
        known = np.flatnonzero(top_C)
        self.feature_CY[known, width - 1 + column_X[top_C[known]]] = CATEGORY_SHARE**0.5
        self._leaf_C = leaf_C
        self._has_peer_C = (np.bincount(leaf_C) > 1)[leaf_C] & (leaf_C > 0)

    @staticmethod
    def of(catalogue: Catalogue, row_C: IntArray, vector_CD: FloatArray, spare: int = 0) -> "Likeness":
        """Return the likeness of catalogue rows; `vector_CD` are their content vectors, of unit length."""
        return Likeness(vector_CD, catalogue.top_category_N[row_C], catalogue.leaf_category_N[row_C], spare)

    def to(self, place: int) -> FloatArray:
        """Return the likeness of every candidate to one of them."""
        like_C: FloatArray = self.feature_CY @ self.feature_CY[place]
        self.add_leaf(like_C, place)
        return like_C

    def add_leaf(self, like_C: FloatArray, place: int) -> None:
        """Add the part of the leaf category."""
        if self._has_peer_C[place]:
            like_C[self._leaf_C == self._leaf_C[place]] += CATEGORY_SHARE


class Dpp:
    """Fast greedy MAP inference.

    The features of the likeness and the columns of the Cholesky factor stand in one matrix: a step is one product.
    """

    def __init__(self, base_C: FloatArray, likeness: Likeness, strength: float, limit: int) -> None:
        """`likeness` has `limit` spare columns and belongs to this list alone."""
        self._base_C, self._likeness, self._strength = base_C, likeness, np.float32(strength)
        self._left_C = np.ones(len(base_C), np.float32)
        """d²: how much of each item is not yet said by the items of the list"""
        self._both_CY = likeness.feature_CY
        self._next_column = self._both_CY.shape[1] - limit
        self._sign_Y = np.ones(self._both_CY.shape[1], np.float32)
        self._sign_Y[self._next_column :] = -1

    def gain_C(self) -> FloatArray:
        gain_C = np.log(self._left_C)
        gain_C *= self._strength
        gain_C += self._base_C
        return gain_C

    def take(self, place: int) -> None:
        column_C = self._both_CY @ (self._both_CY[place] * self._sign_Y)
        self._likeness.add_leaf(column_C, place)
        column_C /= np.sqrt(self._left_C[place])
        self._both_CY[:, self._next_column] = column_C
        self._next_column += 1
        column_C *= column_C
        # Rounding cannot bring it below 0: the identity's share keeps LEAST_LEFT for every item.
        self._left_C -= column_C


class Mmr:
    """Maximal marginal relevance."""

    def __init__(self, base_C: FloatArray, likeness: Likeness, strength: float) -> None:
        self._base_C, self._likeness, self._strength = base_C, likeness, np.float32(strength)
        self._nearest_C: FloatArray | None = None

    def gain_C(self) -> FloatArray:
        return self._base_C if self._nearest_C is None else self._base_C - self._strength * self._nearest_C

    def take(self, place: int) -> None:
        like_C = self._likeness.to(place)
        self._nearest_C = like_C if self._nearest_C is None else np.maximum(self._nearest_C, like_C)


class Calibrated:
    """The shopper's mix of categories."""

    def __init__(
        self, base_C: FloatArray, category_C: IntArray, wanted_T: FloatArray, strength: float, limit: int
    ) -> None:
        # Only categories with a share count in the distance; the place after them stands for all others.
        wanted = np.flatnonzero(wanted_T)
        place_T = np.full(len(wanted_T), len(wanted), np.int32)
        place_T[wanted] = np.arange(len(wanted))
        self._base_C, self._category_C, self._share_T = base_C, place_T[category_C], wanted_T[wanted]
        # Relevance stands for the mean over the list, so the distance counts once for each of its places.
        self._weight = np.float32(strength * limit)
        self._taken = 0
        self._count_2T = np.zeros((2, len(wanted)), np.float32)
        """items of each category in the list, and one more"""
        self._count_2T[1] = 1

    def gain_C(self) -> FloatArray:
        # KL(p ‖ q) = Σ p log p - Σ p log q; the first sum is the same for all, and only one category changes in q.
        log_2T = np.log(self._count_2T * ((1 - SMOOTHING) / (self._taken + 1)) + SMOOTHING * self._share_T)
        nearer_T = np.zeros(len(self._share_T) + 1, np.float32)
        nearer_T[:-1] = self._share_T * (log_2T[1] - log_2T[0])
        nearer_T += self._share_T @ log_2T[0]
        nearer_T *= self._weight
        return self._base_C + nearer_T[self._category_C]

    def take(self, place: int) -> None:
        self._taken += 1
        category = self._category_C[place]
        if category < len(self._share_T):
            self._count_2T[:, category] += 1


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
