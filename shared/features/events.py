"""A shopper's recent events as columns, and the one rule of time: strictly before `as_of`.

Called by   services/feature/user_state.py (as_of = now), services/training/examples (as_of = time of the impression)
Columns     oldest first, ordered by (time, event id), so both sides break ties alike
Window      the newest WINDOW_SIZE events before as_of: older ones are invisible to every feature
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import numpy.typing as npt

from shared.contracts.events import EVENT_TYPE_CODES, EVENT_TYPES, EventType
from shared.contracts.internal import WINDOW_SIZE

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

POSITIVE_TYPES = (EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.WISHLIST, EventType.PURCHASE)
POSITIVE_CODES = np.array([EVENT_TYPE_CODES[event_type] for event_type in POSITIVE_TYPES], dtype=np.int8)
_IS_POSITIVE_T = np.isin(np.arange(len(EVENT_TYPES)), POSITIVE_CODES)
PURCHASE_CODE = EVENT_TYPE_CODES[EventType.PURCHASE]


@dataclass(frozen=True)
class EventWindow:
    """One shopper's events; every array has length E, oldest first."""

    row_E: IntArray
    """row of the item in the Catalogue, -1 when the catalogue does not know it"""
    type_E: npt.NDArray[np.int8]
    """EVENT_TYPE_CODES"""
    at_ms_E: LongArray
    """epoch milliseconds"""
    price_E: FloatArray
    """per unit; NaN when unknown"""
    quantity_E: FloatArray

    def __len__(self) -> int:
        return len(self.row_E)

    def slice(self, start: int, stop: int) -> "EventWindow":
        """Return the events [start, stop) as a view."""
        return EventWindow(
            self.row_E[start:stop],
            self.type_E[start:stop],
            self.at_ms_E[start:stop],
            self.price_E[start:stop],
            self.quantity_E[start:stop],
        )

    def where(self, mask_E: npt.NDArray[np.bool_]) -> "EventWindow":
        """Return the events that the mask keeps, in order."""
        return EventWindow(
            self.row_E[mask_E], self.type_E[mask_E], self.at_ms_E[mask_E], self.price_E[mask_E], self.quantity_E[mask_E]
        )

    def positive(self) -> "EventWindow":
        """Return the events that speak for an item: POSITIVE_TYPES on items the catalogue knows."""
        return self.where(_IS_POSITIVE_T[self.type_E] & (self.row_E >= 0))

    def purchases(self) -> "EventWindow":
        """Return the purchases of items the catalogue knows."""
        return self.where((self.type_E == PURCHASE_CODE) & (self.row_E >= 0))


EMPTY_WINDOW = EventWindow(
    np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float32)
)


def events_before(events: EventWindow, as_of_ms: int, limit: int = WINDOW_SIZE) -> EventWindow:
    """Return the newest `limit` events strictly before `as_of_ms`; `events` must be ordered by time."""
    stop = int(np.searchsorted(events.at_ms_E, as_of_ms, side="left"))
    return events.slice(max(0, stop - limit), stop)


def rows_of(item_ids: Sequence[str], row_of: Mapping[str, int]) -> IntArray:
    """Return the row of each item, -1 for those that are unknown."""
    return np.fromiter(map(row_of.get, item_ids, repeat(-1)), np.int32, len(item_ids))
