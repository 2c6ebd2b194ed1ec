"""Counts of "after this item came that one", at one step or at many: Markov and sequential item-kNN are two settings.

Called by   tables.py (the product), benchmarks/quality (the rows markov and item_knn)
Step        the distinct times of one shopper, in order: the events of one basket share a step, a basket's items come
            after every item of the basket before
Weight      decay^(gap - 1) for each pair `gap` steps apart, at most `window`; with `backward`, the pair counts the
            other way round, too, at that share; with `together`, so do pairs within one step. With `far` below 1, the
            rest of the weight is halved with every `near_min` between the two: one basket's items are often stored
            seconds apart. A pair of baskets is shared out among its pairs of items, so that a basket of fifty does not
            outvote fifty shoppers. Then
            / ((pairs from the item + shrinkage)^from_power × (pairs to the item + shrinkage)^to_power)
Votes       how long an item speaks of what comes next: for `votes` steps, each `vote_decay` lighter than the one after
Source      item-to-item transitions and sequence-aware nearest neighbours (Ludewig and Jannach, 2018)
Dimensions  G steps, V items, P pairs of steps
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from services.training.collaborative.top_k import top_k_product
from services.training.examples.event_log import group_starts
from services.training.examples.sequences import Sequences
from shared.features.events import FloatArray, LongArray
from shared.models.tables import ItemNeighbours, Transitions


@dataclass(frozen=True)
class TransitionConfig:
    """Which pairs count, and how they are weighed."""

    neighbours: int = 200
    window: int = 10
    decay: float = 0.8
    backward: float = 0.0
    together: float = 0.0
    near_min: float = 1.0
    far: float = 1.0
    from_power: float = 0.5
    to_power: float = 0.25
    shrinkage: float = 1.0
    votes: int = 10
    vote_decay: float = 0.6

    def __post_init__(self) -> None:
        if self.window < 1 or not 0 < self.decay <= 1:
            raise ValueError(f"transitions need a window of at least 1 and a decay in (0, 1], not {self}")


MARKOV = TransitionConfig(window=1, from_power=1.0, to_power=0.0, votes=1)
"""the chance of each item to come next, shrunk towards 0 where little was seen"""
BOTH_WAYS = TransitionConfig(backward=1.0, together=1.0, far=0.1, votes=50, vote_decay=0.9)
"""what is near in time, before or after, read with a long memory"""
MINUTE_MS = 60_000


@dataclass(frozen=True)
class Steps:
    """What each shopper did at each of their distinct times; rows in the order of the log."""

    item_GV: sp.csr_array
    user_G: LongArray
    at_ms_G: LongArray


def fit_transitions(sequences: Sequences, num_items: int, config: TransitionConfig, threads: int = 1) -> Transitions:
    """Return the items that most follow each item."""
    steps = find_steps(sequences, num_items)
    share_GV = sp.csr_array(sp.diags_array(1 / np.sqrt(np.diff(steps.item_GV.indptr))) @ steps.item_GV)
    share_GV = share_GV.astype(np.float32)
    pair_GG = count_pairs(steps, config)
    size_G = share_GV.sum(axis=1)
    from_V = _power(share_GV.T @ (pair_GG @ size_G), config.shrinkage, config.from_power)
    to_V = _power(share_GV.T @ (pair_GG.T @ size_G), config.shrinkage, config.to_power)

    def relative(row_E: LongArray, column_E: LongArray, product_E: FloatArray) -> FloatArray:
        return product_E * from_V[row_E] * to_V[column_E]

    follow_GV = sp.csr_array(pair_GG @ share_GV)
    near = top_k_product(sp.csr_array(share_GV.T), follow_GV, config.neighbours, relative, threads)
    return with_votes(near, config.votes, config.vote_decay)


def with_votes(near: ItemNeighbours, votes: int, decay: float) -> Transitions:
    """Return neighbours that are voted for by the items of the last steps."""
    return Transitions(near.neighbour_VK, near.weight_VK, (decay ** np.arange(votes)).astype(np.float32))


def find_steps(sequences: Sequences, num_items: int) -> Steps:
    """Return the steps of the log; an item counts once in a step."""
    user_E = np.repeat(np.arange(len(sequences.start_U1) - 1, dtype=np.int32), np.diff(sequences.start_U1))
    start_G = group_starts(user_E, sequences.at_ms_E)
    start_G1 = np.append(start_G, len(sequences)).astype(np.int64)
    ones = np.ones(len(sequences), np.float32)
    item_GV = sp.csr_array((ones, sequences.code_E.copy(), start_G1), shape=(len(start_G), num_items))
    item_GV.sum_duplicates()
    item_GV.data[:] = 1
    return Steps(item_GV, user_E[start_G].astype(np.int64), sequences.at_ms_E[start_G])


def count_pairs(steps: Steps, config: TransitionConfig) -> sp.csr_array:
    """Return the weight of each pair of steps of one shopper: a band along the diagonal."""
    gap_W = np.arange(-config.window, config.window + 1)
    weight_W = np.where(gap_W > 0, 1.0, config.backward) * config.decay ** (np.abs(gap_W) - 1.0)
    weight_W[config.window] = config.together
    gap_W, weight_W = gap_W[weight_W > 0], weight_W[weight_W > 0].astype(np.float32)
    size = len(steps.user_G)
    other_GW = np.arange(size, dtype=np.int32)[:, None] + gap_W.astype(np.int32)
    inside_GW = (other_GW >= 0) & (other_GW < size)
    inside_GW &= steps.user_G[np.clip(other_GW, 0, size - 1)] == steps.user_G[:, None]
    other_P = other_GW[inside_GW]
    weight_P = np.broadcast_to(weight_W, other_GW.shape)[inside_GW]
    if config.far < 1:
        one_P = np.repeat(np.arange(size), inside_GW.sum(axis=1))
        weight_P = weight_P * nearness(np.abs(steps.at_ms_G[other_P] - steps.at_ms_G[one_P]), config)
    start_G1 = np.concatenate([[0], np.cumsum(inside_GW.sum(axis=1))]).astype(np.int32)
    return sp.csr_array((weight_P, other_P, start_G1), shape=(size, size))


def nearness(apart_ms_P: LongArray, config: TransitionConfig) -> FloatArray:
    """Return what is left of a pair's weight for the time between its two steps, from 1 down to `far`."""
    halvings_P = apart_ms_P / (config.near_min * MINUTE_MS)
    left_P: FloatArray = (config.far + (1 - config.far) * np.exp2(-halvings_P)).astype(np.float32)
    return left_P


def _power(count_V: FloatArray, shrinkage: float, power: float) -> FloatArray:
    weight_V: FloatArray = ((count_V + shrinkage) ** -power).astype(np.float32)
    return weight_V
