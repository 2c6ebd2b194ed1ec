"""What a list is worth: accuracy of each question, and what all lists together show.

Called by   measure.py
Accuracy    the code of the product's offline evaluation (services/training/evaluation/metrics.py): ties count at
            the middle of the places they share. A target that the model will never recommend (-inf) has no place
Lists       the first ten places, ties by item code. Coverage: share of all items that stand in at least one list.
            Popularity: mean number of events of the items shown, in train + validation. Novelty: mean of -log2 p(item),
            with p = (events + 1) / (all events + items). Diversity: 1 - mean cosine of two items of a list, where an
            item is the set of users who took it in train + validation (item-CF), over at most 2,000 lists
Memory      a block of scores at a time
Dimensions  B questions of a block, Q of all, V items, T targets, K places
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from benchmarks.quality.task import Questions
from services.training.evaluation.metrics import Ranks, Standing, hit_rate, ndcg, reciprocal_rank
from services.training.examples.sequences import Sequences
from shared.features.events import FloatArray, IntArray, LongArray
from shared.models.sources.scores import best_first

PLACES = 10
DIVERSITY_LISTS = 2000
Doubles = npt.NDArray[np.float64]
ACCURACY = ("hr@10", "hr@50", "ndcg@10", "ndcg@50", "mrr")


@dataclass(frozen=True)
class Answers:
    """What a model said: accuracy of each question, and the first places of each list."""

    accuracy_QM: Doubles
    """columns in the order of ACCURACY"""
    top_QK: IntArray
    """item codes, -1 where fewer items may be shown"""

    @property
    def ndcg_Q(self) -> Doubles:
        """NDCG@10 of each question."""
        return self.accuracy_QM[:, ACCURACY.index("ndcg@10")]


def answer_block(score_BV: FloatArray, questions: Questions) -> Answers:
    """Judge the scores of a block of questions; `score_BV` is changed: what is hidden becomes -inf."""
    accuracy_BM = np.empty((len(questions), len(ACCURACY)))
    top_BK = np.full((len(questions), PLACES), -1, np.int32)
    for place, score_V in enumerate(score_BV):
        score_V[questions.hidden(place)] = -np.inf
        accuracy_BM[place] = accuracy(ranks_of(score_V, questions.targets[place]))
        best = best_first(score_V, PLACES)
        best = best[np.isfinite(score_V[best])]
        top_BK[place, : len(best)] = best
    return Answers(accuracy_BM, top_BK)


def ranks_of(score_V: FloatArray, target_T: IntArray) -> Ranks:
    """Return the places of the targets, ascending, counted from 0; infinite for a target that is never shown."""
    rank_T = Standing.of(score_V, target_T.astype(np.int64), len(score_V)).ranks()
    never = int((score_V[target_T] == -np.inf).sum())
    if never:
        rank_T[len(rank_T) - never :] = np.inf
    return rank_T


def accuracy(rank_T: Ranks) -> tuple[float, ...]:
    """Return the metrics of ACCURACY for one question."""
    return (
        hit_rate(rank_T, 10),
        hit_rate(rank_T, 50),
        ndcg(rank_T, 10),
        ndcg(rank_T, 50),
        reciprocal_rank(rank_T),
    )


class ListJudge:
    """Measures lists against the log that was learned from."""

    def __init__(self, log: Sequences, num_items: int) -> None:
        self.count_V = np.bincount(log.code_E, minlength=num_items)
        self._unit_VU = unit_columns(log, num_items)

    def judge(self, top_QK: IntArray) -> dict[str, float]:
        """Return coverage, popularity, novelty and diversity of the lists."""
        shown = top_QK[top_QK >= 0]
        chance_V = (self.count_V + 1) / (self.count_V.sum() + len(self.count_V))
        return {
            "coverage@10": len(np.unique(shown)) / len(self.count_V),
            "popularity@10": float(self.count_V[shown].mean()) if len(shown) else 0.0,
            "novelty@10": float(-np.log2(chance_V[shown]).mean()) if len(shown) else 0.0,
            "diversity@10": self.diversity(top_QK),
        }

    def diversity(self, top_QK: IntArray) -> float:
        """Return the mean distance of two items of one list; each pair of items is compared once."""
        chosen = np.random.default_rng(0).permutation(len(top_QK))[:DIVERSITY_LISTS]
        left_P, right_P = np.triu_indices(top_QK.shape[1], 1)
        left, right = top_QK[chosen][:, left_P].ravel(), top_QK[chosen][:, right_P].ravel()
        both = (left >= 0) & (right >= 0)
        if not both.any():
            return 0.0
        pair_P2, times_P = np.unique(np.stack([left[both], right[both]], axis=1), axis=0, return_counts=True)
        return float(1 - (self._cosines(pair_P2) * times_P).sum() / times_P.sum())

    def _cosines(self, pair_P2: IntArray) -> Doubles:
        step = 20_000
        blocks = [
            (self._unit_VU[pair_P2[start : start + step, 0]] * self._unit_VU[pair_P2[start : start + step, 1]]).sum(
                axis=1
            )
            for start in range(0, len(pair_P2), step)
        ]
        return np.concatenate(blocks)


def unit_columns(log: Sequences, num_items: int) -> sp.csr_array:
    """Return for each item the set of its users as a vector of unit length."""
    user_E = np.repeat(np.arange(len(log.start_U1) - 1), np.diff(log.start_U1))
    users = len(log.start_U1) - 1
    taken_VU = sp.csr_array((np.ones(len(user_E)), (log.code_E, user_E)), shape=(num_items, users))
    taken_VU.data[:] = 1.0
    length_V = np.sqrt(np.maximum(np.diff(taken_VU.indptr), 1))
    taken_VU.data /= np.repeat(length_V, np.diff(taken_VU.indptr))
    return taken_VU


def seen_transitions(log: Sequences, questions: Questions) -> npt.NDArray[np.bool_]:
    """Return which questions ask for a step from the newest item to a target that somebody took in the log."""
    user_E = np.repeat(np.arange(len(log.start_U1) - 1), np.diff(log.start_U1))
    same_E = user_E[1:] == user_E[:-1]
    size = int(log.code_E.max(initial=0)) + 1
    known = np.unique(log.code_E[:-1][same_E].astype(np.int64) * size + log.code_E[1:][same_E])
    newest_Q = np.array([history.code_L[-1] for history in questions.histories], np.int64)
    return np.array(
        [
            bool(_is_member(known, newest * size + target_T.astype(np.int64)[target_T < size]).any()) and newest < size
            for newest, target_T in zip(newest_Q.tolist(), questions.targets, strict=True)
        ],
        np.bool_,
    )


def _is_member(sorted_X: LongArray, value_T: LongArray) -> npt.NDArray[np.bool_]:
    place_T = np.minimum(np.searchsorted(sorted_X, value_T), max(len(sorted_X) - 1, 0))
    return sorted_X[place_T] == value_T if len(sorted_X) else np.zeros(len(value_T), np.bool_)
