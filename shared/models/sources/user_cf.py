"""User-CF: what shoppers with a similar history bought.

Called by   shared/models/recommender.py
Source      user-based nearest neighbours (Resnick et al. 1994) with cosine over sample histories, found through an
            inverted index, so only histories that share an item are touched
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import IntArray, LongArray
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
        entry_E, history_E = ranges(self.table.start_S1, near.code_C)
        weight_E = self.table.weight_E[entry_E] * near.score_C[history_E]
        return PositiveScores(accumulate(self.table.item_E[entry_E], weight_E, len(self.table.posting_start_V1) - 1))

    def _nearest(self, liked: SparseScores) -> SparseScores:
        length = np.sqrt((liked.score_C**2).sum())
        entry_P, item_P = ranges(self.table.posting_start_V1, liked.code_C)
        product_P = self.table.posting_weight_P[entry_P] * (liked.score_C / length)[item_P]
        cosine_S = accumulate(self.table.history_P[entry_P], product_P, len(self.table.start_S1) - 1)
        near = PositiveScores(cosine_S).sparse()
        best = best_first(near.score_C, MAX_NEIGHBOURS)
        return SparseScores(near.code_C[best], near.score_C[best])


def ranges(start_X1: LongArray, row_R: IntArray) -> tuple[LongArray, LongArray]:
    """Return the entries of several compressed rows in a row, and for each entry which of the rows it is from."""
    first_R, size_R = start_X1[row_R], start_X1[row_R + 1] - start_X1[row_R]
    which_E = np.repeat(np.arange(len(row_R)), size_R)
    offset_E = np.arange(len(which_E)) - np.repeat(np.cumsum(size_R) - size_R, size_R)
    return first_R[which_E] + offset_E, which_E
