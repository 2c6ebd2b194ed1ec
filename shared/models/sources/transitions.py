"""Markov and sequential item-kNN: what comes after the shopper's last steps, the newest counting most.

Called by   shared/models/recommender.py
Source      sequence-aware nearest neighbours (Ludewig and Jannach 2018); a Markov chain is the case of one step
"""

from dataclasses import dataclass

import numpy as np

from shared.models.sources.scores import EMPTY_SCORES, PositiveScores, SourceScores, SparseScores, accumulate
from shared.models.tables import ItemNeighbours
from shared.models.tensors import History

MAX_VOTES = 100
"""history items that vote; beyond this the weights are too small to change a list"""


@dataclass(frozen=True)
class TransitionSource:
    """Candidates that follow the items of the last distinct times."""

    name: str
    table: ItemNeighbours
    steps: int
    """distinct times that count; a basket is one"""
    decay: float
    """weight of a step against the one after it"""

    def scores(self, history: History) -> SourceScores:
        """Return the sum over the items of the last steps of decay^(steps ago) × the weight of the transition."""
        voters = self.voters(history)
        if not len(voters.code_C):
            return EMPTY_SCORES
        vote_MK = voters.score_C[:, None] * self.table.weight_VK[voters.code_C]
        neighbour_MK = self.table.neighbour_VK[voters.code_C]
        return PositiveScores(accumulate(neighbour_MK.ravel(), vote_MK.ravel(), len(self.table.neighbour_VK)))

    def voters(self, history: History) -> SparseScores:
        """Return the items of the last steps with their weight; an item that came twice counts at its newest."""
        at_ms_L, code_L = history.at_ms_L[-MAX_VOTES:], history.code_L[-MAX_VOTES:]
        if not len(code_L):
            return EMPTY_SCORES
        ago_L = np.cumsum(np.concatenate([[0], np.diff(at_ms_L[::-1]) != 0]))[::-1]
        kept_L = ago_L < self.steps
        newest_first = code_L[kept_L][::-1]
        code_C, place = np.unique(newest_first, return_index=True)
        weight_L = np.power(self.decay, ago_L[kept_L][::-1])
        return SparseScores(code_C, weight_L[place].astype(np.float32))
