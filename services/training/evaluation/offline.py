"""Offline evaluation: rank the whole catalogue for every question of the test period, by each source and fused.

Called by   services/training/pipeline.py, services/training/gate.py (the model that serves now, on the same questions)
Protocol    split by time; one question a basket; the past strictly before it, events of the test period included, as
            serving would know them; every item of the catalogue competes, no negatives are sampled
Slices      all: every target. repeats: only targets the shopper had before. new: only targets the shopper never had, in
            a list without what the shopper had
Fused       the list that serving would give: what no source retrieved shares the last places
Dimensions  N catalogue rows, C scored items, T targets
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from services.training.evaluation.metrics import (
    Ranks,
    auc,
    coverage,
    hit_rate,
    middle_ranks,
    ndcg,
    recall,
    reciprocal_rank,
)
from services.training.examples.queries import QueryMaker, Question
from services.training.progress import Report, StepProgress, quiet
from shared.features.events import FloatArray, IntArray
from shared.models.recommender import HISTORY_SOURCES, Recommender, Scored
from shared.models.sources.scores import DenseScores, SourceScores, SparseScores, best_first

SLICES = ("all", "repeats", "new")
FUSED = "fused"
FLOOR = "popularity"
LIST_LENGTH = 10
METRICS: dict[str, Callable[[Ranks, int], float]] = {
    "hr@10": lambda rank_T, items: hit_rate(rank_T, 10),
    "hr@50": lambda rank_T, items: hit_rate(rank_T, 50),
    "ndcg@10": lambda rank_T, items: ndcg(rank_T, 10),
    "ndcg@50": lambda rank_T, items: ndcg(rank_T, 50),
    "recall@50": lambda rank_T, items: recall(rank_T, 50),
    "mrr": lambda rank_T, items: reciprocal_rank(rank_T),
    "auc": auc,
}


@dataclass(frozen=True)
class ScoredItems:
    """Catalogue rows with a score, ascending by row; all other items of the catalogue share the places below."""

    row_C: IntArray
    score_C: FloatArray

    def without(self, row_H: IntArray) -> "ScoredItems":
        """Return the list without some rows."""
        keep_C = ~np.isin(self.row_C, row_H)
        return ScoredItems(self.row_C[keep_C], self.score_C[keep_C])

    def ranks(self, target_row_T: IntArray, num_items: int) -> Ranks:
        """Return where the targets stand among `num_items`, ascending."""
        place_T = np.searchsorted(self.row_C, target_row_T)
        known_T = place_T < len(self.row_C)
        known_T[known_T] = self.row_C[place_T[known_T]] == target_row_T[known_T]
        return middle_ranks(self.score_C, np.where(known_T, place_T, -1), num_items)

    def top(self, limit: int) -> set[int]:
        """Return the rows of the first places."""
        return set(self.row_C[best_first(self.score_C, limit)].tolist())


@dataclass
class Tally:
    """Sums of the metrics of one source in one slice."""

    questions: int = 0
    sums: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, rank_T: Ranks, num_items: int) -> None:
        """Count one question."""
        self.questions += 1
        for name, metric in METRICS.items():
            self.sums[name] += metric(rank_T, num_items)

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over the questions."""
        return {name: round(self.sums[name] / max(self.questions, 1), 6) for name in METRICS}


def evaluate(
    recommender: Recommender,
    maker: QueryMaker,
    questions: Sequence[Question],
    per_source: int,
    report: Report = quiet,
    only_fused: bool = False,
) -> dict[str, object]:
    """Return the report that goes into the manifest; see the head of this file for what it means."""
    progress = StepProgress("evaluation", len(questions), "questions", report)
    tallies: dict[str, dict[str, Tally]] = {name: defaultdict(Tally) for name in SLICES}
    shown: dict[str, set[int]] = defaultdict(set)
    lists = SourceLists(recommender)
    for question in questions:
        scored = recommender.start(maker.query(question))
        found = {FUSED: fused_list(recommender, scored, per_source)}
        found |= {FLOOR: lists.popularity()} if only_fused else lists.of(scored)
        for name, items in found.items():
            shown[name] |= items.top(LIST_LENGTH)
        _tally(found, question.target_row_T, maker.bought_before(question), len(recommender.catalogue), tallies)
        progress.advance()
    num_items = len(recommender.catalogue)
    return {
        "protocol": "next basket, split by time, full ranking of the catalogue, no sampled negatives",
        "questions": {name: _questions(tallies[name]) for name in SLICES},
        "items": num_items,
        "per_source": per_source,
        "metrics": {name: {source: tally.means() for source, tally in tallies[name].items()} for name in SLICES},
        "coverage@10": {source: round(coverage(rows, num_items), 6) for source, rows in shown.items()},
    }


def _questions(by_source: dict[str, Tally]) -> int:
    return max((tally.questions for tally in by_source.values()), default=0)


def _tally(
    found: dict[str, ScoredItems],
    target_row_T: IntArray,
    had_row_H: IntArray,
    num_items: int,
    tallies: dict[str, dict[str, Tally]],
) -> None:
    """Count one question in the slices that it has targets for."""
    repeated_T = np.isin(target_row_T, had_row_H)
    for source, items in found.items():
        tallies["all"][source].add(items.ranks(target_row_T, num_items), num_items)
        if repeated_T.any():
            tallies["repeats"][source].add(items.ranks(target_row_T[repeated_T], num_items), num_items)
        if not repeated_T.all():
            left = num_items - len(had_row_H)
            tallies["new"][source].add(items.without(had_row_H).ranks(target_row_T[~repeated_T], left), left)


def fused_list(recommender: Recommender, scored: Scored, per_source: int) -> ScoredItems:
    """Return what serving would rank."""
    candidates = recommender.retrieve(scored, per_source)
    return ScoredItems(candidates.row_C, recommender.score(candidates))


class SourceLists:
    """The scores of each source, by catalogue row."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender = recommender
        row_V = recommender.rows.row_of_code_V
        self._order_V = np.argsort(row_V, kind="stable")
        self._order_V = self._order_V[row_V[self._order_V] >= 0]
        self._row_V = row_V
        self._all_N = np.arange(len(recommender.catalogue), dtype=np.int32)
        self._popularity = self._dense(recommender.contents.popularity.weight_V)

    def of(self, scored: Scored) -> dict[str, ScoredItems]:
        """Return a list for each source."""
        lists = {name: self._from_scores(scored.by_source[name]) for name in HISTORY_SOURCES}
        likeness_N = self._recommender.content.likeness(scored.history, self._all_N)
        return {**lists, FLOOR: self._popularity, "content": ScoredItems(self._all_N, likeness_N)}

    def popularity(self) -> ScoredItems:
        """Return the floor: one list for everybody."""
        return self._popularity

    def _from_scores(self, scores: SourceScores) -> ScoredItems:
        if isinstance(scores, DenseScores):
            return self._dense(scores.score_V)
        if not isinstance(scores, SparseScores):
            raise TypeError(f"a source answered with {type(scores).__name__}")
        row_C = self._row_V[scores.code_C]
        order = np.argsort(row_C, kind="stable")
        order = order[row_C[order] >= 0]
        return ScoredItems(row_C[order], scores.score_C[order])

    def _dense(self, score_V: npt.NDArray[np.float32]) -> ScoredItems:
        return ScoredItems(self._row_V[self._order_V], score_V[self._order_V])
