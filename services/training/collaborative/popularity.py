"""Popularity: what is bought now, over all and in each top category, and what is bought again.

Called by   services/training/pipeline.py
Weight      decayed sum of event weights (shared/models/sources/scores.py), halved every `half_life_days` before the end
            of the log; in a shop with purchases only those count
Dimensions  V items, T lists (all, then one a category), M items of a list
"""

import numpy as np

from services.training.examples.sequences import Sequences
from shared.features.events import PURCHASE_CODE, FloatArray, IntArray
from shared.models.sources.scores import TYPE_WEIGHT_BY_CODE, best_first
from shared.models.tables import Popularity
from shared.models.tensors import BoolArray

DAY_MS = 86_400_000
LIST_LENGTH = 500


def fit_popularity(
    sequences: Sequences, category_V: IntArray, num_categories: int, half_life_days: float
) -> Popularity:
    """Return the weights and lists; `category_V` is the place of an item's top category, -1 for none."""
    num_items = len(category_V)
    bought_E = sequences.type_E == PURCHASE_CODE
    counted_E = bought_E if bought_E.any() else np.ones_like(bought_E)
    newest_ms = int(sequences.at_ms_E.max()) if len(sequences) else 0
    decay_E = np.exp2((sequences.at_ms_E - newest_ms) / (half_life_days * DAY_MS))
    weight_E = np.where(counted_E, TYPE_WEIGHT_BY_CODE[sequences.type_E] * decay_E, 0)
    weight_V = np.bincount(sequences.code_E, weight_E, minlength=num_items).astype(np.float32)
    lists = [np.arange(num_items), *(np.flatnonzero(category_V == place) for place in range(num_categories))]
    top_TM = np.full((len(lists), min(LIST_LENGTH, num_items)), -1, np.int32)
    for place, codes in enumerate(lists):
        best = codes[best_first(weight_V[codes], top_TM.shape[1])]
        top_TM[place, : len(best)] = best
    return Popularity(weight_V, top_TM, repeat_rate(sequences, counted_E, num_items))


def repeat_rate(sequences: Sequences, counted_E: BoolArray, num_items: int) -> FloatArray:
    """Return for each item the share of its shoppers with counted events on it at two or more distinct times."""
    user_E = np.repeat(np.arange(len(sequences.start_U1) - 1), np.diff(sequences.start_U1))
    order = np.lexsort((sequences.at_ms_E, user_E, sequences.code_E))
    order = order[counted_E[order]]
    code_E, user_E, at_ms_E = sequences.code_E[order], user_E[order], sequences.at_ms_E[order]
    same_E = (code_E[1:] == code_E[:-1]) & (user_E[1:] == user_E[:-1])
    pair_start = np.flatnonzero(np.concatenate([[True], ~same_E])) if len(order) else np.empty(0, np.int64)
    later_E = np.concatenate([[False], same_E & (at_ms_E[1:] > at_ms_E[:-1])]) if len(order) else same_E
    again = np.logical_or.reduceat(later_E, pair_start) if len(order) else later_E
    buyers_V = np.bincount(code_E[pair_start], minlength=num_items)
    again_V = np.bincount(code_E[pair_start][again], minlength=num_items)
    return (again_V / np.maximum(buyers_V, 1)).astype(np.float32)
