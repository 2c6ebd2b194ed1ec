"""Ranking metrics, each a pure function of where the targets of one question stand in one list of all items.

Called by   services/training/evaluation/offline.py
Ranks       0 is the best place. Ties count at the middle of the places they share, so a rank may be a half, and a
            source that scores nothing gets what a coin would. All targets of a question are worth the same
Dimensions  T targets of a question, N items in the list
"""

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.float64]


def middle_ranks(score_C: npt.NDArray[np.float32], place_T: npt.NDArray[np.int64], num_items: int) -> Ranks:
    """Return the rank of each target among `num_items` items, of which only C have a score, ascending.

    `place_T` says where a target stands among the C, -1 when it is not there: such items share the last places.
    """
    known_T = place_T >= 0
    target_T = score_C[place_T[known_T]]
    # One pass for each target: count_nonzero reads a mask many times faster than a sum along an axis does.
    above_T = np.array([np.count_nonzero(score_C > target) for target in target_T], np.float64)
    equal_T = np.array([np.count_nonzero(score_C == target) for target in target_T], np.float64) - 1
    rank_T = np.full(len(place_T), (len(score_C) + num_items - 1) / 2)
    rank_T[known_T] = above_T + equal_T / 2
    return np.sort(rank_T)


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
