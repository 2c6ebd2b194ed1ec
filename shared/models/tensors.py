"""The one way from a shopper's events to the arrays that the sequence encoder reads.

Called by   shared/models/sources, for training (as_of = time of the target) and for ranking (as_of = now)
In          an EventWindow already cut strictly before as_of (shared.features.events.events_before)
Out         History of item codes, then HistoryBatch, left-padded so that the newest event is always last
Dimensions  B histories, L events
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.features.events import EventWindow, IntArray, LongArray

BoolArray = npt.NDArray[np.bool_]
PAD_CODE = 0
"""Padding reads the vector of item 0; the mask keeps it out of every sum."""


@dataclass(frozen=True, eq=False)
class History:
    """One shopper's positive events on items of the vocabulary, oldest first, strictly before `as_of_ms`."""

    code_L: IntArray
    type_L: npt.NDArray[np.int8]
    at_ms_L: LongArray
    as_of_ms: int

    def __len__(self) -> int:
        return len(self.code_L)

    def newest(self, limit: int) -> "History":
        """Return the last `limit` events."""
        return History(self.code_L[-limit:], self.type_L[-limit:], self.at_ms_L[-limit:], self.as_of_ms)


@dataclass(frozen=True)
class HistoryBatch:
    """What the encoder reads."""

    code_BL: LongArray
    type_BL: LongArray
    age_s_BL: npt.NDArray[np.float32]
    """seconds between the event and as_of"""
    mask_BL: BoolArray
    """true for events, false for padding"""


def history_of(window: EventWindow, code_of_row_N: IntArray, as_of_ms: int) -> History:
    """Return the positive events on known items; `code_of_row_N` is -1 for items outside the vocabulary."""
    positive = window.positive()
    code_E = code_of_row_N[positive.row_E] if len(positive) else np.empty(0, np.int32)
    known = code_E >= 0
    return History(code_E[known], positive.type_E[known], positive.at_ms_E[known], as_of_ms)


def collate(histories: Sequence[History], max_length: int) -> HistoryBatch:
    """Return the newest `max_length` events of each history as one batch, as long as the longest of them."""
    newest = [history.newest(max_length) for history in histories]
    length = max(1, *(len(history) for history in newest)) if newest else 1
    shape = (len(newest), length)
    code_BL, type_BL = np.full(shape, PAD_CODE, np.int64), np.zeros(shape, np.int64)
    age_s_BL, mask_BL = np.zeros(shape, np.float32), np.zeros(shape, np.bool_)
    for row, history in enumerate(newest):
        if len(history):
            code_BL[row, -len(history) :] = history.code_L
            type_BL[row, -len(history) :] = history.type_L
            age_s_BL[row, -len(history) :] = (history.as_of_ms - history.at_ms_L) / 1000.0
            mask_BL[row, -len(history) :] = True
    return HistoryBatch(code_BL, type_BL, age_s_BL, mask_BL)
