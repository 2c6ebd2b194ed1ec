"""The one event file that both paths of the parity test read.

Called by   tests/parity/test_serving_equals_training.py
Holds       10,000 real purchase lines of The Complete Journey, cleaned as `aisle import` cleans them, and made-up
            events around them: other types, ties, unknown products, late ones; all in the order of their ARRIVAL
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc

from services.training.examples.cleaning import clean
from services.training.importing.complete_journey import Journey, read_complete_journey
from shared.contracts.content_hash import content_hash
from shared.contracts.events import EventType, StoredEvent
from shared.contracts.users import User
from shared.features.catalogue import CatalogueItem

ZONE = ZoneInfo("America/New_York")
REAL_LINES = 10_000
SHORT_HISTORY, LONG_HISTORY = 450, 700
"""lines of most shoppers: all of them are online; and of one whose oldest events are not"""
MADE_UP_TYPES = (
    EventType.VIEW,
    EventType.CLICK,
    EventType.ADD_TO_CART,
    EventType.REMOVE_FROM_CART,
    EventType.WISHLIST,
    EventType.RATING,
    EventType.REFUND,
)


@dataclass(frozen=True)
class EventFile:
    """Products, accounts and events."""

    items: list[CatalogueItem]
    users: list[User]
    arrivals: list[StoredEvent]
    """in the order in which they reach the platform"""
    long_history: str
    """user_key of the shopper with more events than the online state keeps"""


def read_event_file(folder: Path) -> EventFile:
    """Return the file; equal calls give equal files."""
    journey = read_complete_journey(folder, ZONE, datetime(2026, 11, 1, tzinfo=UTC))
    lines, long_history = _chosen_lines(journey)
    bought = {line["item_id"] for line in lines}
    random = np.random.default_rng(11)
    events = [_purchase(line) for line in lines]
    events += _made_up(events, random)
    return EventFile(
        [item for item in journey.items if item.item_id in bought],
        [user for user in journey.users if f"u:{user.user_id}" in {line["user_key"] for line in lines}],
        _arrivals(events, random),
        long_history,
    )


def _chosen_lines(journey: Journey) -> tuple[list[dict[str, Any]], str]:
    """Return clean lines of whole shoppers: one of a long history, then shorter ones until there are enough."""
    cleaned = clean(journey.events.table).kept
    counts = {one["values"]: one["counts"] for one in pc.value_counts(cleaned["user_key"]).to_pylist()}
    by_key = sorted(counts)
    long_history = next(key for key in by_key if counts[key] >= LONG_HISTORY)
    chosen, lines = [long_history], counts[long_history]
    for key in by_key:
        if lines >= REAL_LINES:
            break
        if counts[key] <= SHORT_HISTORY:
            chosen.append(key)
            lines += counts[key]
    wanted = cleaned.filter(pc.is_in(cleaned["user_key"].cast("string"), pc.cast(chosen, "string")))
    return wanted.to_pylist()[:REAL_LINES], long_history


def _purchase(line: dict[str, Any]) -> StoredEvent:
    return _stored(
        line["event_id"],
        EventType.PURCHASE,
        line["user_key"],
        line["item_id"],
        line["at_ms"],
        quantity=line["quantity"],
        price=line["price"],
        value=line["value"],
        order_id=line["order_id"],
        context={"store": line["context"].split('"')[3]},
    )


def _made_up(purchases: list[StoredEvent], random: np.random.Generator) -> list[StoredEvent]:
    """Return events beside some purchases: a tie at the same millisecond, a view before, an unknown product."""
    made = []
    for place in random.choice(len(purchases), 900, replace=False).tolist():
        near, kind = purchases[place], MADE_UP_TYPES[int(random.integers(len(MADE_UP_TYPES)))]
        at_ms = round(near.occurred_at.timestamp() * 1000)
        shift_ms = int(random.choice([0, -1, 1, -90_000, 86_400_000]))
        item_id = "unknown-product" if place % 11 == 0 else near.item_id
        value = float(random.integers(1, 6)) if kind is EventType.RATING else None
        context = {"device": "Phone", "network": "wifi"} if place % 2 else {}
        event_id = f"made-{place:05d}"
        made.append(_stored(event_id, kind, near.user_key, item_id, at_ms + shift_ms, value=value, context=context))
    return made


def _stored(
    event_id: str, kind: EventType, user_key: str, item_id: str | None, at_ms: int, **known: Any
) -> StoredEvent:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    fields: dict[str, Any] = {
        "event_id": event_id,
        "type": kind,
        "user_key": user_key,
        "item_id": item_id,
        "occurred_at": moment,
        "received_at": moment + timedelta(seconds=1),
        "quantity": 1.0,
        "price": None,
        "value": None,
        "session_id": None,
        "order_id": None,
        "recommendation_id": None,
        "position": None,
        "currency": None,
        "context": {},
    }
    event = StoredEvent(**{**fields, **known})
    return event.model_copy(update={"content_hash": content_hash([event], time_given=True)})


def _arrivals(events: list[StoredEvent], random: np.random.Generator) -> list[StoredEvent]:
    """Return events mostly in order of time, each fifth one late: up to the very end."""
    by_time = np.argsort([event.occurred_at.timestamp() for event in events], kind="stable")
    rank = np.empty(len(events))
    rank[by_time] = np.arange(len(events))
    late = random.random(len(events)) < 0.2
    rank[late] = random.uniform(rank[late], len(events))
    return [events[place] for place in np.argsort(rank, kind="stable")]
