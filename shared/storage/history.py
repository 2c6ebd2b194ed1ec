"""A shopper's events in the order that all of Aisle uses: by time, then by event id.

Called by   shared/storage/relational/interactions.py (reads them), shared/storage/redis/user_state.py (keeps a copy),
            services/feature (answers with them)
Numbers     prices and quantities are rounded to 32 bits, as both stores keep them: the copy equals the original
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from shared.contracts.events import EVENT_TYPE_CODES, StoredEvent
from shared.contracts.times import epoch_ms
from shared.features.shopper_events import ShopperEvents, shopper_events

_single = struct.Struct("<f")


class HistoryEvent(NamedTuple):
    """What features need to know of one event."""

    at_ms: int
    event_id: str
    type_code: int
    """EVENT_TYPE_CODES"""
    item_id: str
    """empty for a search"""
    price: float | None
    """per unit"""
    quantity: float


def as_single(value: float) -> float:
    """Return the number a 32-bit column keeps."""
    rounded: float = _single.unpack(_single.pack(value))[0]
    return rounded


def history_event(event: StoredEvent) -> HistoryEvent:
    """Return the part of a stored event that features read."""
    return HistoryEvent(
        at_ms=epoch_ms(event.occurred_at),
        event_id=event.event_id,
        type_code=EVENT_TYPE_CODES[event.type],
        item_id=event.item_id or "",
        price=None if event.price is None else as_single(event.price),
        quantity=as_single(event.quantity),
    )


def in_order(events: Iterable[HistoryEvent]) -> ShopperEvents:
    """Return events sorted by (time, event id), the first two fields."""
    ordered = sorted(events, key=lambda event: event[:2])
    return shopper_events([(e.item_id, e.at_ms, e.type_code, e.price, e.quantity) for e in ordered])
