"""Short ways to say who asks for what in the tiny shop."""

from dataclasses import dataclass
from typing import Any

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import Profile, RankReply, RankRequest, UserState
from shared.contracts.recommendation import Context, ReturnShape
from shared.features.shopper_events import shopper_events
from tests.tiny_shop import DAY_MS, UNTIL_MS

NOW_MS = UNTIL_MS + 13 * 3_600_000
"""13:00 on the day after the model's training data"""


@dataclass(frozen=True)
class Did:
    """One stored event, some days ago."""

    item_id: str
    days_ago: float = 3.0
    type: EventType = EventType.PURCHASE


def state(*done: Did, profile: Profile | None = None, **features: Any) -> UserState:
    """Return a shopper's state with stored events; `features` are the other fields of UserState."""
    ordered = sorted(done, key=lambda did: -did.days_ago)
    lines = [
        (did.item_id, NOW_MS - int(did.days_ago * DAY_MS), EVENT_TYPE_CODES[did.type], None, 1.0) for did in ordered
    ]
    events = shopper_events(lines).packed()
    return UserState(
        user_key="u:1", version="1", as_of_ms=NOW_MS, events=events, profile=profile or Profile(), **features
    )


def request(*done: Did, **fields: Any) -> RankRequest:
    """Return a request for ten items with reasons; `context` may be a mapping."""
    values: dict[str, Any] = {"state": state(*done), "as_of_ms": NOW_MS, "num_items": 10, "scenario": "home"}
    values["return_"] = ReturnShape(explain="reasons")
    values |= fields
    if isinstance(values.get("context"), dict):
        values["context"] = Context.model_validate(values["context"])
    return RankRequest(**values)


def ids(reply: RankReply) -> list[str]:
    """Return the listed items in order."""
    return [str(item.item_id) for item in reply.items]


def score_of(reply: RankReply, item_id: str) -> float:
    """Return the score of one listed item."""
    return next(item.score for item in reply.items if item.item_id == item_id)


def departments(reply: RankReply) -> list[str]:
    """Return the department of each listed item, in order."""
    return [item_id.split("-")[0] for item_id in ids(reply)]
