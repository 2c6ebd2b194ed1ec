"""Co-visitation: items that go into one basket or session, and items of the next one.

Called by   services/training/pipeline.py
Session     events of one shopper with at most 30 minutes between neighbours; a basket is the case of equal times
Weight      (pairs in one session + `next_share` × pairs across neighbouring sessions) / sqrt(n_i × n_j), each session
            halved in weight every `half_life_days`; n is the sum over the sessions that hold the item
Source      the co-visitation matrices of session-based retrieval (OTTO, RecSys 2022 challenge solutions)
Dimensions  X sessions, V items
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from services.training.collaborative.top_k import top_k_product
from services.training.examples.event_log import group_starts
from services.training.examples.sequences import Sequences
from shared.features.events import FloatArray, LongArray
from shared.models.tables import ItemNeighbours

DAY_MS = 86_400_000
SESSION_GAP_MS = 30 * 60_000
NEXT_WITHIN_MS = 30 * DAY_MS
"""a session much later has little to do with the one before"""


@dataclass(frozen=True)
class CoVisitationConfig:
    """How pairs are weighed."""

    neighbours: int = 100
    half_life_days: float = 120.0
    next_share: float = 1.0
    shrinkage: float = 10.0
    """sessions added to every item's count: pairs of rare items are chance"""


@dataclass(frozen=True)
class Sessions:
    """Items of each session as a sparse matrix, with the shopper and the time of each."""

    item_XV: sp.csr_array
    user_X: LongArray
    at_ms_X: LongArray


def fit_co_visitation(
    sequences: Sequences, num_items: int, config: CoVisitationConfig, threads: int = 1
) -> ItemNeighbours:
    """Return the items most bought or seen together with each item."""
    sessions = find_sessions(sequences, num_items)
    if not len(sessions.at_ms_X):
        return top_k_product(sessions.item_XV.T.tocsr(), sessions.item_XV, config.neighbours, _unchanged, threads)
    age_X = (sessions.at_ms_X.max() - sessions.at_ms_X) / (config.half_life_days * DAY_MS)
    weight_X = np.exp2(-age_X).astype(np.float32)
    weighted_XV = sp.csr_array(sp.diags_array(weight_X) @ sessions.item_XV)
    count_V: FloatArray = (weighted_XV.sum(axis=0) + config.shrinkage).astype(np.float32)
    first_P, second_P = _neighbouring(sessions)
    left = sp.vstack([weighted_XV, config.next_share * weighted_XV[first_P]])
    right = sp.vstack([sessions.item_XV, sessions.item_XV[second_P]])

    def relative(row_E: LongArray, column_E: LongArray, product_E: FloatArray) -> FloatArray:
        weight_E: FloatArray = product_E / np.sqrt(count_V[row_E] * count_V[column_E])
        return weight_E

    return top_k_product(sp.csr_array(left.T), sp.csr_array(right), config.neighbours, relative, threads)


def find_sessions(sequences: Sequences, num_items: int) -> Sessions:
    """Return the sessions of the log; an item counts once in a session."""
    user_E = np.repeat(np.arange(len(sequences.start_U1) - 1, dtype=np.int32), np.diff(sequences.start_U1))
    start_X = group_starts(user_E, sequences.at_ms_E, SESSION_GAP_MS)
    start_X1 = np.append(start_X, len(sequences)).astype(np.int64)
    ones = np.ones(len(sequences), np.float32)
    item_XV = sp.csr_array((ones, sequences.code_E.copy(), start_X1), shape=(len(start_X), num_items))
    item_XV.sum_duplicates()
    item_XV.data[:] = 1
    return Sessions(item_XV, user_E[start_X].astype(np.int64), sequences.at_ms_E[start_X])


def _neighbouring(sessions: Sessions) -> tuple[LongArray, LongArray]:
    """Return pairs of sessions that follow each other for the same shopper."""
    near_X = (sessions.user_X[1:] == sessions.user_X[:-1]) & (np.diff(sessions.at_ms_X) <= NEXT_WITHIN_MS)
    first_P = np.flatnonzero(near_X)
    return first_P, first_P + 1


def _unchanged(row_E: LongArray, column_E: LongArray, product_E: FloatArray) -> FloatArray:
    return product_E
