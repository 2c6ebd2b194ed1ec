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

from services.training.asking import Asking
from services.training.evaluation.lists import ListMaker, ScoredItems
from services.training.evaluation.metrics import Ranks, auc, coverage, hit_rate, ndcg, recall, reciprocal_rank
from services.training.examples.queries import QueryMaker, Question
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


@dataclass(frozen=True)
class Judged:
    """How the lists of one question did: the values of METRICS by slice and source, and the first places of each."""

    values: Mapping[str, Mapping[str, Sequence[float]]]
    first_places: Mapping[str, frozenset[int]]


def judged(lists: Mapping[str, ScoredItems], target_row_T: IntArray, had_row_H: IntArray, num_items: int) -> Judged:
    """Judge the lists of one question in the slices that it has targets for; `had_row_H` ascends."""
    repeated_T = np.isin(target_row_T, had_row_H)
    values: dict[str, dict[str, Sequence[float]]] = {name: {} for name in SLICES}
    for source, items in lists.items():
        standing = items.standing(target_row_T, num_items)
        values["all"][source] = metrics_of(standing.ranks(), num_items)
        if repeated_T.any():
            values["repeats"][source] = metrics_of(standing.ranks(repeated_T), num_items)
        if not repeated_T.all():
            unseen = standing.without(items.scores_among(had_row_H), len(had_row_H))
            values["new"][source] = metrics_of(unseen.ranks(~repeated_T), unseen.num_items)
    return Judged(values, {source: items.first_places for source, items in lists.items()})


def metrics_of(rank_T: Ranks, num_items: int) -> Sequence[float]:
    """Return the values of METRICS, in order."""
    return [metric(rank_T, num_items) for metric in METRICS.values()]


@dataclass
class Tally:
    """Sums of the metrics of one source in one slice."""

    questions: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * len(METRICS))

    def add(self, values: Sequence[float]) -> None:
        """Count one question."""
        self.questions += 1
        self.sums = [total + value for total, value in zip(self.sums, values, strict=True)]

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over the questions."""
        return {name: round(total / max(self.questions, 1), 6) for name, total in zip(METRICS, self.sums, strict=True)}


class Scoreboard:
    """The tallies of all sources in all slices."""

    def __init__(self, num_items: int) -> None:
        self._num_items = num_items
        self._tally: dict[str, dict[str, Tally]] = {name: defaultdict(Tally) for name in SLICES}
        self._shown: dict[str, set[int]] = defaultdict(set)

    def add(self, question: Judged) -> None:
        """Count one question."""
        for source, rows in question.first_places.items():
            self._shown[source] |= rows
        for name, of_source in question.values.items():
            for source, values in of_source.items():
                self._tally[name][source].add(values)

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
    recommender: Recommender, maker: QueryMaker, questions: Sequence[Question], asking: Asking, only_main: bool = False
) -> dict[str, Any]:
    """Return the report that goes into the manifest; with `only_main`, of the fused list and the floor alone."""
    lists, num_items = ListMaker(recommender, asking.per_source), len(recommender.catalogue)

    def ask(question: Question) -> tuple[Judged, Judged | None]:
        """Return how the shopper's lists did, and those of a stranger."""
        scored, target_row_T = recommender.start(maker.query(question)), question.target_row_T
        found = lists.main(scored) if only_main else lists.all(scored)
        known = judged(found, target_row_T, maker.bought_before(question), num_items)
        if only_main:
            return known, None
        of_stranger = lists.main(recommender.start(maker.stranger(question)))
        return known, judged(of_stranger, target_row_T, NOTHING_BOUGHT, num_items)

    board, strangers = Scoreboard(num_items), Scoreboard(num_items)
    for known, stranger in asking.each("evaluation", ask, questions):
        board.add(known)
        if stranger is not None:
            strangers.add(stranger)
    return {
        "protocol": "next basket, split by time, full ranking of the catalogue, no sampled negatives",
        "items": num_items,
        "per_source": asking.per_source,
        **board.as_json(),
        "strangers": strangers.table("all"),
    }
