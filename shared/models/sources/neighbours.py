"""Item-CF and co-visitation: items near those in the history, weighted by how much the shopper likes those.

Called by   shared/models/recommender.py
Source      item-based top-N (Deshpande and Karypis 2004); the two sources differ in how training made the neighbours:
            cosine over whole histories, or counts of "in the same basket or session"
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.sources.scores import EMPTY_SCORES, PositiveScores, SourceScores, accumulate, taste
from shared.models.tables import ItemNeighbours
from shared.models.tensors import History

MAX_LIKED = 100
"""history items that vote; beyond this the weights are too small to change a list"""


@dataclass(frozen=True)
class NeighbourSource:
    """Candidates from an ItemNeighbours table."""

    name: str
    table: ItemNeighbours

    def scores(self, history: History) -> SourceScores:
        """Return the sum over liked items of taste × similarity."""
        liked = taste(history, MAX_LIKED)
        if not len(liked.code_C):
            return EMPTY_SCORES
        vote_MK = liked.score_C[:, None] * self.table.weight_VK[liked.code_C]
        neighbour_MK = self.table.neighbour_VK[liked.code_C]
        return PositiveScores(accumulate(neighbour_MK.ravel(), vote_MK.ravel(), len(self.table.neighbour_VK)))

    def because(self, history: History, code_C: IntArray) -> IntArray:
        """Return for each candidate the liked item that voted most for it, -1 when none did."""
        liked = taste(history, MAX_LIKED)
        if not len(liked.code_C):
            return np.full(len(code_C), -1, np.int32)
        neighbour_MK = self.table.neighbour_VK[liked.code_C]
        vote_MK = liked.score_C[:, None] * self.table.weight_VK[liked.code_C]
        vote_CM = np.stack([np.where(neighbour_MK == code, vote_MK, 0).max(axis=1) for code in code_C])
        return np.where(vote_CM.max(axis=1) > 0, liked.code_C[vote_CM.argmax(axis=1)], np.int32(-1))

    def similar(self, code: int) -> tuple[IntArray, FloatArray]:
        """Return the neighbours of one item, nearest first."""
        known = self.table.neighbour_VK[code] >= 0
        return self.table.neighbour_VK[code][known], self.table.weight_VK[code][known]
