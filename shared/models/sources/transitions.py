"""Markov, sequential item-kNN and sequential EASE: what comes after the shopper's last steps, the newest counting most.

Called by   shared/models/sources/history.py
Source      sequence-aware nearest neighbours (Ludewig and Jannach 2018); a Markov chain is the case of one step. The
            sources differ in how training made the weights, and in how many steps vote
Step        the events of one distinct time: a basket is one
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from shared.features.events import IntArray, LongArray
from shared.models.sources.neighbours import strongest_voters, sum_votes
from shared.models.sources.scores import SourceScores, SparseScores
from shared.models.tables import Transitions
from shared.models.tensors import History

MAX_VOTES = 100
"""history items that vote; beyond this the weights are too small to change a list"""


@dataclass(frozen=True)
class TransitionSource:
    """Candidates that follow the items of the last steps."""

    name: str
    table: Transitions

    def scores(self, history: History) -> SourceScores:
        """Return the sum over the items of the last steps of their vote × the weight of the transition."""
        return sum_votes(self.table, self.voters(history))

    def because(self, history: History, code_C: IntArray) -> IntArray:
        """Return for each candidate the item of the last steps that voted most for it, -1 when none did."""
        return strongest_voters(self.table, self.voters(history), code_C)

    def voters(self, history: History) -> SparseScores:
        """Return the items of the last steps with their weight; an item that came twice counts at its newest."""
        code_C, ago_C = last_steps(history)
        voting_C = ago_C < len(self.table.vote_S)
        return SparseScores(code_C[voting_C], self.table.vote_S[ago_C[voting_C]])


# All sources of this kind ask for the steps of the same history, one after the other.
@lru_cache(maxsize=4)
def last_steps(history: History) -> tuple[IntArray, LongArray]:
    """Return the items of the newest events, ascending, and how many steps ago each came last."""
    newest_L = slice(None, -MAX_VOTES - 1, -1)
    code_L, at_ms_L = history.code_L[newest_L], history.at_ms_L[newest_L]
    ago_L = np.cumsum(np.diff(at_ms_L, prepend=at_ms_L[:1]) != 0)
    code_C, place_C = np.unique(code_L, return_index=True)
    return code_C, ago_L[place_C]
