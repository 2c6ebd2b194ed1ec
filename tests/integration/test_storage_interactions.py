"""Events in Postgres: each once, in months made when needed, in the order (time, event id)."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.contracts.events import EventType, StoredEvent
from shared.storage.relational.interactions import insert_once, newest_events
from shared.storage.relational.partitions import ensure_months

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stored_event(event_id: str, **changes: Any) -> StoredEvent:
    fields: dict[str, Any] = {
        "event_id": event_id,
        "type": EventType.PURCHASE,
        "user_key": "u:1",
        "item_id": "shoe",
        "occurred_at": NOON,
        "received_at": NOON,
        "quantity": 1.0,
        "price": 9.99,
        "value": None,
        "session_id": None,
        "order_id": None,
        "recommendation_id": None,
        "position": None,
        "currency": "EUR",
        "context": {},
    }
    return StoredEvent(**fields | changes)


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


def test_event_sent_twice_is_stored_once_and_called_a_duplicate(engine: Engine) -> None:
    with engine.begin() as connection:
        first = insert_once(connection, [stored_event("a"), stored_event("b")])
    with engine.begin() as connection:
        second = insert_once(connection, [stored_event("a"), stored_event("c"), stored_event("c")])

    assert [event.event_id for event in first.new] == ["a", "b"]
    assert [event.event_id for event in second.new] == ["c"]
    assert [event.event_id for event in second.duplicates] == ["c", "a"]
    assert count(engine, "interactions") == count(engine, "event_receipts") == 3


def test_other_content_under_a_known_id_is_a_conflict_and_the_first_stays(engine: Engine) -> None:
    with engine.begin() as connection:
        insert_once(connection, [stored_event("a", price=1.0)])
        outcome = insert_once(
            connection, [stored_event("a", price=2.0), stored_event("b"), stored_event("b", price=3.0)]
        )

    assert [event.event_id for event in outcome.new] == ["b"]
    assert [event.event_id for event in outcome.conflicts] == ["b", "a"]
    with engine.connect() as connection:
        assert [event.price for event in newest_events(connection, "u:1", 10)] == [1.0, pytest.approx(9.99)]


def test_a_rolled_back_batch_leaves_neither_receipt_nor_interaction(engine: Engine) -> None:
    with engine.connect() as connection:
        insert_once(connection, [stored_event("a")])
        connection.rollback()

    assert count(engine, "interactions") == count(engine, "event_receipts") == 0


def test_the_same_batch_from_many_threads_at_once_is_stored_once(engine: Engine) -> None:
    events = [
        stored_event(f"e{number:03}", occurred_at=NOON + timedelta(days=40 * (number % 5))) for number in range(200)
    ]
    new: list[int] = []

    def insert(reverse: bool) -> None:
        with engine.begin() as connection:
            new.append(len(insert_once(connection, events[::-1] if reverse else events).new))

    threads = [threading.Thread(target=insert, args=(number % 2 == 0,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(new) == [0, 0, 0, 0, 0, 200]
    assert count(engine, "interactions") == 200


def test_newest_events_come_oldest_first_ties_by_event_id_in_whole_milliseconds(engine: Engine) -> None:
    micro = NOON.replace(microsecond=123_999)
    events = [
        stored_event("b", occurred_at=NOON.replace(microsecond=123_001)),
        stored_event("a", occurred_at=micro),
        stored_event("ä", occurred_at=micro),
        stored_event("Z", occurred_at=micro),
        stored_event("late", occurred_at=NOON - timedelta(days=60)),
        stored_event("search", type=EventType.SEARCH, item_id=None, price=None, occurred_at=NOON + timedelta(days=60)),
    ]
    with engine.begin() as connection:
        insert_once(connection, events)
        newest = newest_events(connection, "u:1", 5)

    assert [event.event_id for event in newest] == ["Z", "a", "b", "ä", "search"]
    assert newest[0].at_ms == int(NOON.timestamp()) * 1000 + 123
    assert newest[-1].item_id == ""
    assert newest[-1].price is None


def test_months_are_made_once_even_when_asked_for_at_the_same_time(engine: Engine) -> None:
    days = [datetime(2025, month, 17, tzinfo=UTC).date() for month in (11, 12)]
    made: list[int] = []

    def make() -> None:
        with engine.begin() as connection:
            made.append(len(ensure_months(connection, "interactions", days)))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == [0, 0, 0, 2]


def test_a_context_with_a_nul_character_is_stored_without_it(engine: Engine) -> None:
    with engine.begin() as connection:
        insert_once(connection, [stored_event("a", context={"no\x00te": ["x\x00y"]})])
        assert connection.execute(text("SELECT context FROM interactions")).scalar_one() == {"note": ["xy"]}
