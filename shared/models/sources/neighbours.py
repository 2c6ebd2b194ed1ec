"""Item-CF and co-visitation: items near those in the history, weighted by how much the shopper likes those.

Called by   shared/models/sources/history.py; transitions.py lets other items vote, the same way
Source      item-based top-N (Deshpande and Karypis 2004); the two sources differ in how training made the neighbours:
            cosine over whole histories, or counts of "in the same basket or session"
Dimensions  V items of the vocabulary, K neighbours, M items that vote, C candidates
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.sources.scores import EMPTY_SCORES, PositiveScores, SourceScores, SparseScores, accumulate, taste
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
        return sum_votes(self.table, taste(history, MAX_LIKED))

    def because(self, history: History, code_C: IntArray) -> IntArray:
        """Return for each candidate the liked item that voted most for it, -1 when none did."""
        return strongest_voters(self.table, taste(history, MAX_LIKED), code_C)


def sum_votes(table: ItemNeighbours, voters: SparseScores) -> SourceScores:
    """Return the sum over the voters of their weight × that of their neighbours."""
    if not len(voters.code_C):
        return EMPTY_SCORES
    vote_MK = voters.score_C[:, None] * table.weight_VK[voters.code_C]
    neighbour_MK = table.neighbour_VK[voters.code_C]
    return PositiveScores(accumulate(neighbour_MK.ravel(), vote_MK.ravel(), len(table.neighbour_VK)))


def strongest_voters(table: ItemNeighbours, voters: SparseScores, code_C: IntArray) -> IntArray:
    """Return for each candidate the voter with the heaviest vote for it, -1 when none voted for it."""
    if not len(voters.code_C):
        return np.full(len(code_C), -1, np.int32)
    neighbour_MK = table.neighbour_VK[voters.code_C]
    vote_MK = voters.score_C[:, None] * table.weight_VK[voters.code_C]
    vote_CM = np.stack([np.where(neighbour_MK == code, vote_MK, 0).max(axis=1) for code in code_C])
    return np.where(vote_CM.max(axis=1) > 0, voters.code_C[vote_CM.argmax(axis=1)], np.int32(-1))


def similar(table: ItemNeighbours, code: int) -> tuple[IntArray, FloatArray]:
    """Return the neighbours of one item, nearest first."""
    known = table.neighbour_VK[code] >= 0
    return table.neighbour_VK[code][known], table.weight_VK[code][known]
