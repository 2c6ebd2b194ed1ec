"""Turn what a shop sends to POST /events into lines to store and refusals to report, one by one.

Called by   services/gateway/event_intake.py
In          one event, an array of events, or {"events": [...]}
Out         EventBatch: the lines of each good event, and a RejectedEvent for each bad one, with their places
Errors      ProblemError (422) when the body is none of the three forms or holds too many events
"""

import asyncio
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from shared.contracts.content_hash import content_hash
from shared.contracts.events import (
    MAX_AGE_DAYS,
    MAX_EVENTS_PER_REQUEST,
    MAX_FUTURE_S,
    Event,
    EventLine,
    RejectedEvent,
    StoredEvent,
)
from shared.contracts.identifiers import user_key
from shared.contracts.times import from_epoch_ms
from shared.service.problems import invalid_request, message_of, printable
from shared.storage.redis.event_stream import StreamEvent

INVALID_EVENT = "invalid_event"
EVENT_IN_FUTURE = "event_in_future"
EVENT_TOO_OLD = "event_too_old"
EVENT_ID_CONFLICT = "event_id_conflict"

EVENTS_AT_A_TIME = 100


@dataclass
class EventBatch:
    """One request's events, sorted into good and bad."""

    places: list[int] = field(default_factory=list)
    """of the good events in the request"""
    events: list[StreamEvent] = field(default_factory=list)
    rejected: list[RejectedEvent] = field(default_factory=list)


async def read_batch(document: Any, received_ms: int) -> EventBatch:
    """Return the events of a parsed body; a bad event never harms the others."""
    received_at = from_epoch_ms(received_ms)
    batch = EventBatch()
    for index, entry in enumerate(_entries(document)):
        if index % EVENTS_AT_A_TIME == EVENTS_AT_A_TIME - 1:
            # A full batch takes 35 ms: let those who wait for a list go first now and then.
            await asyncio.sleep(0)
        try:
            event = Event.model_validate(entry)
        except ValidationError as error:
            batch.rejected.append(_invalid(index, error))
            continue
        if refusal := _refuse_time(index, event.occurred_at, received_at):
            batch.rejected.append(refusal)
        else:
            batch.places.append(index)
            batch.events.append(_resolved(event, received_at))
    return batch


def _entries(document: Any) -> list[Any]:
    if isinstance(document, dict) and "events" in document:
        if len(document) > 1:
            raise invalid_request("beside events no other field is allowed", "body")
        document = document["events"]
    elif isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        raise invalid_request("an event, an array of events or an object with events is expected", "body")
    if len(document) > MAX_EVENTS_PER_REQUEST:
        raise invalid_request(f"at most {MAX_EVENTS_PER_REQUEST} events in one request", "body", "events")
    return document


def _invalid(index: int, error: ValidationError) -> RejectedEvent:
    entry = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field_name = ".".join(printable(str(part)) for part in entry["loc"])
    return RejectedEvent(index=index, code=INVALID_EVENT, field=field_name, message=message_of(entry))


def _refuse_time(index: int, occurred_at: datetime | None, received_at: datetime) -> RejectedEvent | None:
    if occurred_at is None:
        return None
    if occurred_at > received_at + timedelta(seconds=MAX_FUTURE_S):
        code, message = EVENT_IN_FUTURE, f"more than {MAX_FUTURE_S // 60} minutes ahead"
    elif occurred_at < received_at - timedelta(days=MAX_AGE_DAYS):
        code, message = EVENT_TOO_OLD, f"more than {MAX_AGE_DAYS} days ago"
    else:
        return None
    return RejectedEvent(index=index, code=code, field="occurred_at", message=message)


def _resolved(event: Event, received_at: datetime) -> StreamEvent:
    """Return the event as it is stored: one line for each item, every field filled in."""
    event_id = event.event_id or uuid.uuid4().hex
    entries: list[EventLine | None] = list(event.items) or [None]
    several = len(entries) > 1
    lines = [
        _line(event, entry, f"{event_id}#{number}" if several else event_id, received_at)
        for number, entry in enumerate(entries, start=1)
    ]
    digest = content_hash(lines, time_given=event.occurred_at is not None)
    return StreamEvent(event_id, digest, [line.model_copy(update={"content_hash": digest}) for line in lines])


def _line(event: Event, entry: EventLine | None, line_id: str, received_at: datetime) -> StoredEvent:
    return StoredEvent(
        event_id=line_id,
        type=event.type,
        user_key=user_key(event.user_id, event.visitor_id),
        item_id=entry.item_id if entry else event.item_id,
        occurred_at=event.occurred_at or received_at,
        received_at=received_at,
        quantity=entry.quantity if entry else 1.0,
        price=entry.price if entry else None,
        value=event.value,
        session_id=event.session_id,
        order_id=event.order_id,
        recommendation_id=event.recommendation_id,
        position=entry.position if entry else None,
        currency=event.currency,
        context=event.context,
    )
