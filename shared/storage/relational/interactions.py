"""Events in Postgres: each once, whatever arrives twice; and a shopper's newest ones.

Called by   services/feature: the ingest worker and POST /events/insert (the same function), user_state.py
Once        a receipt (event_id → content hash) and the interaction are written in one transaction; where a receipt
            exists the event is left alone, and the hash tells a repetition from another event under the same id
Time        whole milliseconds, so that the order (time, event id) is the same here and online
Errors      sqlalchemy.exc.DBAPIError; the caller's transaction is then void
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from shared.contracts.content_hash import content_hash
from shared.contracts.events import EVENT_TYPE_CODES, StoredEvent
from shared.contracts.times import epoch_ms
from shared.storage.history import HistoryEvent
from shared.storage.relational.event_rows import shopper_fate
from shared.storage.relational.json_text import storable_json
from shared.storage.relational.locks import AdvisoryLock, take
from shared.storage.relational.partitions import ensure_months, utc_day

# One statement, so that receipt and interaction stand or fall together. Sorted: two workers that meet in the same
# event ids wait for each other in one order and cannot deadlock.
INSERT_ONCE = text("""
WITH arrived AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS fields (
        event_id text, content_hash text, type smallint, user_key text, item_id text, at_ms bigint, received_ms bigint,
        quantity real, price real, value real, session_id text, order_id text, recommendation_id text,
        position smallint, currency text, context jsonb)
), receipt AS (
    INSERT INTO event_receipts (event_id, content_hash)
    SELECT event_id, decode(content_hash, 'hex') FROM arrived ORDER BY event_id COLLATE "C"
    ON CONFLICT DO NOTHING RETURNING event_id
)
INSERT INTO interactions (event_id, type, user_key, item_id, occurred_at, received_at, quantity, price, value,
    session_id, order_id, recommendation_id, position, currency, context)
SELECT event_id, type, user_key, item_id, timestamptz 'epoch' + at_ms * interval '1 millisecond',
    timestamptz 'epoch' + received_ms * interval '1 millisecond', quantity, price, value,
    session_id, order_id, recommendation_id, position, currency, context
FROM arrived JOIN receipt USING (event_id)
RETURNING event_id
""")

NEWEST = text("""
SELECT CAST(extract(epoch FROM occurred_at) * 1000 AS bigint), event_id, type, coalesce(item_id, ''),
    CAST(price AS double precision), CAST(quantity AS double precision)
FROM interactions WHERE user_key = :user_key
ORDER BY occurred_at DESC, event_id DESC LIMIT :limit
""")

RECEIPTS = text("SELECT event_id, encode(content_hash, 'hex') FROM event_receipts WHERE event_id = ANY(:ids)")


@dataclass(frozen=True)
class InsertOutcome:
    """What became of a batch; every event of the batch is in exactly one list."""

    new: list[StoredEvent] = field(default_factory=list)
    """stored now; `user_key` is the account's if the visitor was merged meanwhile"""
    duplicates: list[StoredEvent] = field(default_factory=list)
    """stored before, with the same content"""
    conflicts: list[StoredEvent] = field(default_factory=list)
    """another event is stored under this id; this one is not"""
    erased: list[StoredEvent] = field(default_factory=list)
    """late events of erased shoppers; not stored"""


def insert_once(connection: Connection, events: Sequence[StoredEvent]) -> InsertOutcome:
    """Store the events that are new, in the caller's transaction; nothing counts before it commits."""
    outcome = InsertOutcome()
    if not events:
        return outcome
    take(connection, AdvisoryLock.SHOPPERS, shared=True)
    hashes: dict[str, str] = {}
    arrived: dict[str, StoredEvent] = {}
    for event in _owned(connection, events, outcome):
        event_hash = event.content_hash or content_hash([event], time_given=True)
        if event.event_id in arrived:
            repeated = hashes[event.event_id] == event_hash
            (outcome.duplicates if repeated else outcome.conflicts).append(event)
        else:
            arrived[event.event_id], hashes[event.event_id] = event, event_hash
    ensure_months(connection, "interactions", {utc_day(epoch_ms(event.occurred_at)) for event in arrived.values()})
    rows = [_row(event, hashes[event.event_id]) for event in arrived.values()]
    stored = set(connection.execute(INSERT_ONCE, {"rows": storable_json(rows)}).scalars()) if rows else set()
    outcome.new.extend(event for event in arrived.values() if event.event_id in stored)
    _judge_known(connection, [event for event in arrived.values() if event.event_id not in stored], hashes, outcome)
    return outcome


def newest_events(connection: Connection, user_key: str, limit: int) -> list[HistoryEvent]:
    """Return a shopper's newest events, oldest first, ordered by (time, event id)."""
    rows = connection.execute(NEWEST, {"user_key": user_key, "limit": limit}).all()
    return [HistoryEvent(*row) for row in reversed(rows)]


def _owned(connection: Connection, events: Sequence[StoredEvent], outcome: InsertOutcome) -> Iterable[StoredEvent]:
    """Yield the events under the shopper they belong to now; put those of erased shoppers aside."""
    fate = shopper_fate(connection, {event.user_key for event in events})
    for event in events:
        owner = fate.owner(event.user_key, event.occurred_at)
        if owner is None:
            outcome.erased.append(event)
        else:
            yield event if owner == event.user_key else _moved(event, owner)


def _moved(event: StoredEvent, owner: str) -> StoredEvent:
    """Return the event under another shopper; its hash stays that of the event as it was sent."""
    sent_hash = event.content_hash or content_hash([event], time_given=True)
    return event.model_copy(update={"user_key": owner, "content_hash": sent_hash})


def _judge_known(
    connection: Connection, events: Sequence[StoredEvent], hashes: dict[str, str], outcome: InsertOutcome
) -> None:
    """Tell events that were stored before from others that only share their id."""
    if not events:
        return
    ids = [event.event_id for event in events]
    stored_hash = {row[0]: row[1] for row in connection.execute(RECEIPTS, {"ids": ids})}
    for event in events:
        repeated = stored_hash.get(event.event_id) == hashes[event.event_id]
        (outcome.duplicates if repeated else outcome.conflicts).append(event)


def _row(event: StoredEvent, event_hash: str) -> dict[str, Any]:
    row = event.model_dump(exclude={"occurred_at", "received_at", "context"})
    return row | {
        "type": EVENT_TYPE_CODES[event.type],
        "content_hash": event_hash,
        "at_ms": epoch_ms(event.occurred_at),
        "received_ms": epoch_ms(event.received_at),
        "context": event.context or None,
    }
