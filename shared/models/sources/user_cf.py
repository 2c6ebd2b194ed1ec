"""User-CF: what shoppers with a similar history bought.

Called by   shared/models/recommender.py
Source      user-based nearest neighbours (Resnick et al. 1994) with cosine over sample histories, found through an
            inverted index, so only histories that share an item are touched
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray, LongArray
from shared.models.sources.scores import (
    EMPTY_SCORES,
    PositiveScores,
    SourceScores,
    SparseScores,
    accumulate,
    best_first,
    taste,
)
from shared.models.tables import SampleHistories
from shared.models.tensors import History

MAX_LIKED = 100
MAX_NEIGHBOURS = 50


@dataclass(frozen=True)
class UserCfSource:
    """Candidates from the sample histories nearest to the shopper's."""

    table: SampleHistories
    name: str = "user_cf"

    def scores(self, history: History) -> SourceScores:
        """Return the sum over the nearest histories of similarity × their weight of the item."""
        liked = taste(history, MAX_LIKED)
        if not len(liked.code_C):
            return EMPTY_SCORES
        near = self._nearest(liked)
        entry_E, similarity_E = entries(self.table.start_S1, near)
        weight_E = self.table.weight_E[entry_E] * similarity_E
        return PositiveScores(accumulate(self.table.item_E[entry_E], weight_E, len(self.table.posting_start_V1) - 1))

    def _nearest(self, liked: SparseScores) -> SparseScores:
        length = np.sqrt((liked.score_C**2).sum())
        entry_P, liking_P = entries(self.table.posting_start_V1, SparseScores(liked.code_C, liked.score_C / length))
        product_P = self.table.posting_weight_P[entry_P] * liking_P
        cosine_S = accumulate(self.table.history_P[entry_P], product_P, len(self.table.start_S1) - 1)
        near = PositiveScores(cosine_S).sparse()
        best = best_first(near.score_C, MAX_NEIGHBOURS)
        return SparseScores(near.code_C[best], near.score_C[best])


def entries(start_X1: LongArray, rows: SparseScores) -> tuple[LongArray, FloatArray]:
    """Return the entries of several compressed rows, one row after the other, and for each the score of its row."""
    first_R, stop_R = start_X1[rows.code_C], start_X1[rows.code_C + 1]
    size_R = stop_R - first_R
    entry_E = np.arange(int(size_R.sum())) + np.repeat(stop_R - np.cumsum(size_R), size_R)
    return entry_E, np.repeat(rows.score_C, size_R)
