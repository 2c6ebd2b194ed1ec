"""Write a simulated shop as JSON Lines in the words of the public API: products, shoppers, what happened.

Called by   services/command/simulate_command.py (aisle simulate --out)
Out         items.jsonl, users.jsonl, events.jsonl, as `aisle import` and POST /items, /users, /events take them
Impression  one event for each place of a list; context.propensity is the chance of the item at its place
Hidden      the true chances are written nowhere
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from services.training.progress import Report, StepProgress, quiet
from services.training.simulation.catalogue import CURRENCY, item_id
from services.training.simulation.log import NO_REQUEST, SimulatedLog
from services.training.simulation.sessions import DEVICES
from services.training.simulation.shoppers import user_id
from shared.contracts.events import EVENT_TYPES, EventType
from shared.features.events import PURCHASE_CODE


def write_shop(log: SimulatedLog, folder: Path, report: Report = quiet) -> None:
    """Write the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    items = (log.catalogue.item_json(item) for item in range(len(log.catalogue)))
    users = (log.shoppers.user_json(user) for user in range(len(log.shoppers)))
    _write(folder / "items.jsonl", items, StepProgress("Write items", len(log.catalogue), "lines", report))
    _write(folder / "users.jsonl", users, StepProgress("Write users", len(log.shoppers), "lines", report))
    number = len(log.impressions) + len(log.events)
    _write(folder / "events.jsonl", happenings(log), StepProgress("Write events", number, "lines", report))


def happenings(log: SimulatedLog) -> Iterator[dict[str, Any]]:
    """Yield impressions and acts as POST /events takes them, in order of time."""
    shown, events = log.impressions, log.events
    at_ms = np.concatenate([shown.shown_at_ms_N, events.at_ms_E])
    for place in np.argsort(at_ms, kind="stable").tolist():
        yield impression_json(log, place) if place < len(shown) else act_json(log, place - len(shown))


def impression_json(log: SimulatedLog, place: int) -> dict[str, Any]:
    """Return one item shown."""
    shown = log.impressions
    request = int(shown.request_N[place])
    position = int(shown.position_N[place])
    return {
        "event_id": f"{log.recommendation_id(request)}-{position}",
        "type": EventType.IMPRESSION.value,
        "user_id": user_id(int(shown.user_N[place])),
        "session_id": log.session_id(int(shown.session_N[place])),
        "items": [{"item_id": item_id(int(shown.item_N[place])), "position": position}],
        "occurred_at": int(shown.shown_at_ms_N[place]),
        "recommendation_id": log.recommendation_id(request),
        "context": {
            "device": DEVICES[shown.device_N[place]],
            "propensity": round(float(shown.propensity_N[place]), 6),
        },
    }


def act_json(log: SimulatedLog, event: int) -> dict[str, Any]:
    """Return one view, click, cart or purchase."""
    events, item = log.events, int(log.events.item_E[event])
    line: dict[str, Any] = {"item_id": item_id(item), "price": log.catalogue.price(item)}
    act: dict[str, Any] = {
        "event_id": log.event_id(event),
        "type": EVENT_TYPES[events.type_E[event]].value,
        "user_id": user_id(int(events.user_E[event])),
        "session_id": log.session_id(int(events.session_E[event])),
        "items": [line],
        "occurred_at": int(events.at_ms_E[event]),
        "currency": CURRENCY,
        "context": {"device": DEVICES[events.device_E[event]]},
    }
    if events.request_E[event] != NO_REQUEST:
        act["recommendation_id"] = log.recommendation_id(int(events.request_E[event]))
        line["position"] = int(events.position_E[event])
    if events.type_E[event] == PURCHASE_CODE:
        act["order_id"] = f"{act['recommendation_id']}-o"
        line["quantity"] = 1
    return act


def _write(path: Path, rows: Iterable[dict[str, Any]], step: StepProgress) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            step.advance()
