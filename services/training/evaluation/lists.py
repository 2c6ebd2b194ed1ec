"""The lists that one question gets: of every source alone, and the one that serving would give.

Called by   services/training/evaluation/offline.py
Fused       what the sources retrieved, by fused score; then all else by popularity, as serving fills a short list
Dimensions  N catalogue rows, V items of the vocabulary, C scored items, T targets, X rows
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from services.training.evaluation.metrics import Standing
from shared.features.events import FloatArray, IntArray, LongArray
from shared.models.recommender import Recommender, Scored
from shared.models.sources.history import HISTORY_SOURCES
from shared.models.sources.scores import DenseScores, PositiveScores, SourceScores, SparseScores, best_first

FUSED = "fused"
FLOOR = "popularity"
LIST_LENGTH = 10


@dataclass(frozen=True)
class ScoredItems:
    """Catalogue rows with a score, ascending by row; all other items of the catalogue share the places below."""

    row_C: IntArray
    score_C: FloatArray

    def standing(self, target_row_T: IntArray, num_items: int) -> Standing:
        """Return where the targets stand among `num_items`."""
        return Standing.of(self.score_C, self._places(target_row_T), num_items)

    def scores_among(self, row_X: IntArray) -> FloatArray:
        """Return the scores of those of the rows that have one."""
        place_X = self._places(row_X)
        return self.score_C[place_X[place_X >= 0]]

    def _places(self, row_X: IntArray) -> LongArray:
        """Return where each row stands in `row_C`, -1 when it does not."""
        place_X = np.searchsorted(self.row_C, row_X)
        known_X = place_X < len(self.row_C)
        known_X[known_X] = self.row_C[place_X[known_X]] == row_X[known_X]
        return np.where(known_X, place_X, -1)

    @cached_property
    def first_places(self) -> frozenset[int]:
        """Return the rows of the first LIST_LENGTH places."""
        return frozenset(self.row_C[best_first(self.score_C, LIST_LENGTH)].tolist())


class ListMaker:
    """Makes the lists of a model."""

    def __init__(self, recommender: Recommender, per_source: int) -> None:
        self._recommender, self._per_source = recommender, per_source
        self._row_of_code_V = recommender.rows.row_of_code_V
        by_row = np.argsort(self._row_of_code_V, kind="stable")
        self._code_by_row = by_row[self._row_of_code_V[by_row] >= 0]
        self._known_row = self._row_of_code_V[self._code_by_row]
        self._all_N = np.arange(len(recommender.catalogue), dtype=np.int32)
        weight_V = recommender.contents.popularity.weight_V
        self.floor = self._dense(weight_V)
        self._tail_N = np.zeros(len(self._all_N), np.float32)
        self._tail_N[self._known_row] = (weight_V / max(float(weight_V.max(initial=0)), 1e-9))[self._code_by_row]

    def all(self, scored: Scored) -> dict[str, ScoredItems]:
        """Return the fused list, one for each source, and the floor."""
        lists = {name: self._from_scores(scored.alone(name)) for name in HISTORY_SOURCES}
        likeness_N = self._recommender.content.likeness(scored.wanted_D, self._all_N)
        return {**self.main(scored), **lists, "content": ScoredItems(self._all_N, likeness_N)}

    def main(self, scored: Scored) -> dict[str, ScoredItems]:
        """Return the fused list and the floor only."""
        return {FUSED: self._fused(scored), FLOOR: self.floor}

    def _fused(self, scored: Scored) -> ScoredItems:
        candidates = self._recommender.retrieve(scored, self._per_source)
        score_C = self._recommender.score(scored, candidates)
        score_N = self._tail_N.copy()
        # The tail ends at 1, so the least candidate stands above it.
        score_N[candidates.row_C] = score_C - score_C.min(initial=0) + 2
        return ScoredItems(self._all_N, score_N)

    def _from_scores(self, scores: SourceScores) -> ScoredItems:
        if isinstance(scores, DenseScores):
            return self._dense(scores.score_V)
        if isinstance(scores, PositiveScores):
            scores = scores.sparse()
        if not isinstance(scores, SparseScores):
            raise TypeError(f"a source answered with {type(scores).__name__}")
        row_C = self._row_of_code_V[scores.code_C]
        by_row = np.argsort(row_C, kind="stable")
        by_row = by_row[row_C[by_row] >= 0]
        return ScoredItems(row_C[by_row], scores.score_C[by_row])

    def _dense(self, score_V: FloatArray) -> ScoredItems:
        return ScoredItems(self._known_row, score_V[self._code_by_row])
