"""Which items a model knows: the item vocabulary, in the order of their codes.

Called by   services/training/pipeline.py
Dimensions  V items of the vocabulary, N rows of the catalogue
Rule        an item needs `min_count` positive events to be learned from; the others are reached by their content
            (shared/models/sources/content.py). Code order is by count, so that code 0 is the most frequent item
"""

from dataclasses import dataclass

import numpy as np

from services.training.errors import TooLittleDataError
from services.training.examples.event_log import EventLog
from shared.features.catalogue import Catalogue
from shared.features.events import IntArray, LongArray


@dataclass(frozen=True)
class ItemVocabulary:
    """Item codes: `row_V` is the catalogue row of each code, `count_V` its positive events in the log."""

    row_V: IntArray
    count_V: LongArray
    num_rows: int

    def __len__(self) -> int:
        return len(self.row_V)

    @property
    def code_of_row_N(self) -> IntArray:
        """Code of each catalogue row, -1 when the vocabulary does not hold it."""
        code_N = np.full(self.num_rows, -1, np.int32)
        code_N[self.row_V] = np.arange(len(self.row_V), dtype=np.int32)
        return code_N


def build_vocabulary(log: EventLog, catalogue: Catalogue, min_count: int) -> ItemVocabulary:
    """Return the items with at least `min_count` positive events; TooLittleDataError when there is none."""
    count_N = count_positive(log, len(catalogue))
    row_V = _by_count(np.flatnonzero(count_N >= min_count), count_N, catalogue)
    if not len(row_V):
        raise TooLittleDataError(f"no item has {min_count} events: nothing to learn from")
    return ItemVocabulary(row_V, count_N[row_V], len(catalogue))


def extend_vocabulary(known: ItemVocabulary, log: EventLog, catalogue: Catalogue, min_count: int) -> ItemVocabulary:
    """Return the vocabulary with what a newer log adds behind it: known codes stay, counts are of the newer log."""
    count_N = count_positive(log, len(catalogue))
    fresh_N = count_N >= min_count
    fresh_N[known.row_V] = False
    row_V = np.concatenate([known.row_V, _by_count(np.flatnonzero(fresh_N), count_N, catalogue)])
    return ItemVocabulary(row_V, count_N[row_V], len(catalogue))


def count_positive(log: EventLog, num_rows: int) -> LongArray:
    """Return the number of positive events of each catalogue row."""
    return np.bincount(log.events.positive().row_E, minlength=num_rows).astype(np.int64)


def _by_count(row_X: LongArray, count_N: LongArray, catalogue: Catalogue) -> IntArray:
    """Order rows by falling count; ties by item id, so that the order of the catalogue's rows does not matter."""
    ranked = sorted(row_X.tolist(), key=lambda row: (-int(count_N[row]), catalogue.items[row].item_id))
    return np.array(ranked, np.int32)
