"""A shopper's state for people: what is known, what was done lately, and every user feature with its meaning.

Called by   routes.py (GET /users/{id}/state)
Out         JSON values
"""

import math
from collections import Counter
from typing import Any

from services.feature.user_state import Origin
from shared.contracts.events import EVENT_TYPES
from shared.contracts.internal import UserState
from shared.features.catalogue import Catalogue
from shared.features.shopper_events import ShopperEvents, unpacked
from shared.features.user import USER_DEFINITIONS
from shared.service.clock import iso_of

HISTORY_SHOWN = 20


def human_view(state: UserState, origin: Origin, catalogue: Catalogue) -> dict[str, Any]:
    """Return one state as a person reads it."""
    events = unpacked(state.events)
    counts = Counter(EVENT_TYPES[code].value for code in events.record_E["type"].tolist())
    return {
        "user_key": state.user_key,
        "version": state.version,
        "origin": origin.value,
        "as_of": iso_of(state.as_of_ms),
        "profile": state.profile.model_dump(),
        "counts": {"events": len(events), "by_type": dict(counts)},
        "history": _newest(events, catalogue),
        "features": [
            {
                "name": feature.name,
                "value": state.features.get(feature.name, feature.default),
                "window": feature.window,
                "meaning": feature.meaning,
            }
            for feature in USER_DEFINITIONS
        ],
        "category_preference": state.category_preference,
        "brand_preference": state.brand_preference,
    }


def _newest(events: ShopperEvents, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return the last events, newest first, with what the catalogue says of their items."""
    newest = slice(-HISTORY_SHOWN, None)
    shown = zip(events.item_id[newest], events.record_E[newest].tolist(), strict=True)
    return [_line(item_id, record, catalogue) for item_id, record in shown][::-1]


def _line(item_id: str, record: tuple[int, int, float, float], catalogue: Catalogue) -> dict[str, Any]:
    at_ms, type_code, price, quantity = record
    row = catalogue.row_of.get(item_id)
    item = None if row is None else catalogue.items[row]
    return {
        "type": EVENT_TYPES[type_code].value,
        "at": iso_of(at_ms),
        "item_id": item_id if row is None else catalogue.public_id(row),
        "title": None if item is None else item.title,
        "categories": [] if item is None else list(item.categories),
        "price": None if math.isnan(price) else price,
        "quantity": quantity,
    }
