"""Offline evaluation: rank the whole catalogue for every question of the test period, by each source and fused.

Called by   services/training/pipeline.py, services/training/rival.py (the serving model, on the same questions)
Protocol    split by time; one question a basket; the past strictly before it, events of the test period included, as
            serving would know them; every item of the catalogue competes, no negatives are sampled
Slices      all: every target. repeats: only targets the shopper had before. new: only targets the shopper never had, in
            a list without what the shopper had, as `repeat: hide_bought` serves it. strangers: every target, asked as
            if the shopper were new
Dimensions  T targets of a question
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from services.training.evaluation.lists import ListMaker, ScoredItems
from services.training.evaluation.metrics import Ranks, auc, coverage, hit_rate, ndcg, recall, reciprocal_rank
from services.training.examples.queries import QueryMaker, Question
from services.training.progress import Report, StepProgress, quiet
from shared.features.events import IntArray
from shared.models.recommender import Recommender

SLICES = ("all", "repeats", "new")
NOTHING_BOUGHT: IntArray = np.empty(0, np.int32)
METRICS: dict[str, Callable[[Ranks, int], float]] = {
    "HR@10": lambda rank_T, items: hit_rate(rank_T, 10),
    "HR@50": lambda rank_T, items: hit_rate(rank_T, 50),
    "NDCG@10": lambda rank_T, items: ndcg(rank_T, 10),
    "NDCG@50": lambda rank_T, items: ndcg(rank_T, 50),
    "recall@50": lambda rank_T, items: recall(rank_T, 50),
    "MRR": lambda rank_T, items: reciprocal_rank(rank_T),
    "AUC": auc,
}


@dataclass
class Tally:
    """Sums of the metrics of one source in one slice."""

    questions: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(METRICS, 0.0))

    def add(self, rank_T: Ranks, num_items: int) -> None:
        """Count one question."""
        self.questions += 1
        for name, metric in METRICS.items():
            self.sums[name] += metric(rank_T, num_items)

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over the questions."""
        return {name: round(total / max(self.questions, 1), 6) for name, total in self.sums.items()}


class Scoreboard:
    """The tallies of all sources in all slices."""

    def __init__(self, num_items: int) -> None:
        self._num_items = num_items
        self._tally: dict[str, dict[str, Tally]] = {name: defaultdict(Tally) for name in SLICES}
        self._shown: dict[str, set[int]] = defaultdict(set)

    def add(self, lists: Mapping[str, ScoredItems], target_row_T: IntArray, had_row_H: IntArray) -> None:
        """Count one question in the slices that it has targets for."""
        hidden_N = np.zeros(self._num_items, np.bool_)
        hidden_N[had_row_H] = True
        repeated_T = hidden_N[target_row_T]
        left = self._num_items - len(had_row_H)
        for source, items in lists.items():
            self._shown[source] |= items.first_places
            self._tally["all"][source].add(items.ranks(target_row_T, self._num_items), self._num_items)
            if repeated_T.any():
                rank_T = items.ranks(target_row_T[repeated_T], self._num_items)
                self._tally["repeats"][source].add(rank_T, self._num_items)
            if not repeated_T.all():
                rank_T = items.without(hidden_N).ranks(target_row_T[~repeated_T], left)
                self._tally["new"][source].add(rank_T, left)

    def as_json(self) -> dict[str, Any]:
        """Return a table of all targets, and one for each further slice."""
        tables = {name: self.table(name) for name in SLICES}
        return {**tables.pop("all"), **tables}

    def table(self, name: str) -> dict[str, Any]:
        """Return the means of one slice; coverage: the share of the catalogue in the first ten places of any list."""
        tallies = self._tally[name]
        rows = [{"source": source, **tally.means()} for source, tally in tallies.items()]
        if name == "all":
            rows = [
                {**row, "coverage": round(coverage(self._shown[str(row["source"])], self._num_items), 6)}
                for row in rows
            ]
        return {"questions": max((tally.questions for tally in tallies.values()), default=0), "rows": rows}


def evaluate(
    recommender: Recommender,
    maker: QueryMaker,
    questions: Sequence[Question],
    per_source: int,
    report: Report = quiet,
    only_main: bool = False,
) -> dict[str, Any]:
    """Return the report that goes into the manifest; with `only_main`, of the fused list and the floor alone."""
    progress = StepProgress("evaluation", len(questions), "questions", report)
    lists = ListMaker(recommender, per_source)
    board, strangers = Scoreboard(len(recommender.catalogue)), Scoreboard(len(recommender.catalogue))
    for question in questions:
        scored = recommender.start(maker.query(question))
        found = lists.main(scored) if only_main else lists.all(scored)
        board.add(found, question.target_row_T, maker.bought_before(question))
        if not only_main:
            lists_of_stranger = lists.main(recommender.start(maker.stranger(question)))
            strangers.add(lists_of_stranger, question.target_row_T, NOTHING_BOUGHT)
        progress.advance()
    return {
        "protocol": "next basket, split by time, full ranking of the catalogue, no sampled negatives",
        "items": len(recommender.catalogue),
        "per_source": per_source,
        **board.as_json(),
        "strangers": strangers.table("all"),
    }
