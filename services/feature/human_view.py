"""A shopper's state for people: what is known, what was done lately, and every user feature with its meaning.

Called by   routes.py (GET /users/{id}/state)
Out         JSON values
"""

from collections import Counter
from typing import Any

from services.feature.user_state import Origin
from shared.contracts.events import EVENT_TYPES
from shared.contracts.internal import EventColumns, UserState
from shared.features.catalogue import Catalogue
from shared.features.user import USER_DEFINITIONS
from shared.service.clock import iso_of

HISTORY_SHOWN = 20


def human_view(state: UserState, origin: Origin, catalogue: Catalogue) -> dict[str, Any]:
    """Return one state as a person reads it."""
    counts = Counter(EVENT_TYPES[code].value for code in state.events.type)
    return {
        "user_key": state.user_key,
        "version": state.version,
        "origin": origin.value,
        "as_of": iso_of(state.as_of_ms),
        "profile": state.profile.model_dump(),
        "counts": {"events": len(state.events.type), "by_type": dict(counts)},
        "history": _newest(state.events, catalogue),
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


def _newest(events: EventColumns, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return the last events, newest first, with what the catalogue says of their items."""
    lines = []
    for place in range(len(events.type) - 1, max(-1, len(events.type) - 1 - HISTORY_SHOWN), -1):
        row = catalogue.row_of.get(events.item_id[place])
        item = None if row is None else catalogue.items[row]
        lines.append(
            {
                "type": EVENT_TYPES[events.type[place]].value,
                "at": iso_of(events.at_ms[place]),
                "item_id": events.item_id[place] if row is None else catalogue.public_id(row),
                "title": None if item is None else item.title,
                "categories": [] if item is None else list(item.categories),
                "price": events.price[place],
                "quantity": events.quantity[place],
            }
        )
    return lines
