"""Ranking metrics, each a pure function of where the targets of one question stand in one list of all items.

Called by   services/training/evaluation/offline.py, benchmarks/quality/metrics.py
Ranks       0 is the best place. Ties count at the middle of the places they share, so a rank may be a half, and a
            source that scores nothing gets what a coin would. All targets of a question are worth the same
Dimensions  T targets of a question, C items of the list with a score, G of these left out
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.features.events import FloatArray, LongArray
from shared.models.tensors import BoolArray

Ranks = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """Where the targets of one question stand in one list, as counts: what is left out need only be subtracted."""

    score_T: FloatArray
    """NaN for a target without a score: such items share the last places"""
    above_T: Ranks
    """items with a higher score"""
    equal_T: Ranks
    """other items with the same"""
    num_scored: int
    num_items: int

    @staticmethod
    def of(score_C: FloatArray, place_T: LongArray, num_items: int) -> "Standing":
        """Count in a list of `num_items`, of which only C have a score; `place_T` is -1 for a target without one."""
        known_T = place_T >= 0
        score_T = np.where(known_T, score_C[place_T] if len(score_C) else np.nan, np.nan).astype(np.float32)
        # One pass for each target: count_nonzero reads a mask many times faster than a sum along an axis does.
        above_T = np.array([np.count_nonzero(score_C > target) for target in score_T], np.float64)
        equal_T = np.array([np.count_nonzero(score_C == target) for target in score_T], np.float64)
        return Standing(score_T, above_T, equal_T - known_T, len(score_C), num_items)

    def without(self, gone_score_G: FloatArray, num_gone: int) -> "Standing":
        """Return the same in a list without `num_gone` items, no targets, of which G have a score."""
        above_T = self.above_T - (gone_score_G[:, None] > self.score_T).sum(axis=0)
        equal_T = self.equal_T - (gone_score_G[:, None] == self.score_T).sum(axis=0)
        return Standing(self.score_T, above_T, equal_T, self.num_scored - len(gone_score_G), self.num_items - num_gone)

    def ranks(self, wanted_T: BoolArray | None = None) -> Ranks:
        """Return the ranks of the wanted targets, ascending."""
        last = (self.num_scored + self.num_items - 1) / 2
        rank_T = np.where(np.isnan(self.score_T), last, self.above_T + self.equal_T / 2)
        return np.sort(rank_T if wanted_T is None else rank_T[wanted_T])


def hit_rate(rank_T: Ranks, k: int) -> float:
    """HR@k: 1 when at least one target is among the first k."""
    return float(rank_T[0] < k)


def recall(rank_T: Ranks, k: int) -> float:
    """Share of the targets among the first k; of k targets where there are more than fit."""
    return float((rank_T < k).sum() / min(k, len(rank_T)))


def ndcg(rank_T: Ranks, k: int) -> float:
    """NDCG@k with gain 1 for a target, discount 1 / log2(rank + 2), over that of a list that has targets only."""
    gain = (1 / np.log2(rank_T[rank_T < k] + 2)).sum()
    best = (1 / np.log2(np.arange(min(k, len(rank_T))) + 2)).sum()
    return float(gain / best)


def reciprocal_rank(rank_T: Ranks) -> float:
    """MRR of one question: 1 / (place of the first target, counted from 1), over the whole list."""
    return float(1 / (rank_T[0] + 1))


def auc(rank_T: Ranks, num_items: int) -> float:
    """Chance that a target stands before an item that is no target, drawn at random from all items; ties half."""
    others = num_items - len(rank_T)
    if others <= 0:
        return 1.0
    others_before_T = rank_T - np.arange(len(rank_T))
    return float(1 - np.clip(others_before_T, 0, others).mean() / others)


def coverage(shown: set[int], num_items: int) -> float:
    """Share of the catalogue that stands in at least one of the lists."""
    return len(shown) / max(num_items, 1)
