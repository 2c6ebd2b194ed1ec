"""Streams on a real Valkey: events claimed once, entries never lost, changes in order."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from shared.contracts.content_hash import content_hash
from shared.contracts.events import StoredEvent
from shared.contracts.impressions import Impression
from shared.storage.redis.change_stream import ChangeKind, ChangePublisher, ChangeStream
from shared.storage.redis.clients import AsyncRedis, SyncRedis, async_client, sync_client
from shared.storage.redis.event_stream import EventStream, StreamEvent, StreamReader, decode_events, event_reader
from shared.storage.redis.impression_stream import ImpressionStream, decode_impression, impression_reader
from tests.integration.test_storage_interactions import NOON, stored_event

NAMESPACE = "shop"


@pytest.fixture
async def stream(stream_url: str) -> AsyncIterator[AsyncRedis]:
    async with async_client(stream_url, timeout_s=5) as client:
        yield client


@pytest.fixture
def worker(stream_url: str) -> Iterator[SyncRedis]:
    with sync_client(stream_url) as client:
        yield client


def sent(event_id: str, **changes: Any) -> StreamEvent:
    line = stored_event(event_id, **changes)
    return StreamEvent(event_id, content_hash([line], time_given=True), [line])


def ids_of(reader: StreamReader, consumer: str = "w1") -> list[str]:
    return [line.event_id for entry in reader.read(consumer, 100, 10) for line in decode_events(entry.payload)]


async def test_claims_tell_new_events_from_repetitions_and_conflicts(stream: AsyncRedis, worker: SyncRedis) -> None:
    events = EventStream(stream, NAMESPACE)
    reader = event_reader(worker, NAMESPACE)
    reader.ensure_group()

    first = await events.append([sent("a"), sent("b"), sent("a"), sent("b", price=1.0)])
    second = await events.append([sent("c"), sent("a"), sent("a", item_id="hat")])

    assert first == ["accepted", "accepted", "duplicate", "conflict"]
    assert second == ["accepted", "duplicate", "conflict"]
    assert ids_of(reader) == ["a", "b", "c"]


async def test_one_event_sent_fifty_times_at_once_is_accepted_once(stream: AsyncRedis, worker: SyncRedis) -> None:
    events = EventStream(stream, NAMESPACE)
    verdicts = await asyncio.gather(*(events.append([sent("a")]) for _ in range(50)))

    assert sorted(verdict for (verdict,) in verdicts) == ["accepted"] + ["duplicate"] * 49


async def test_shards_keep_the_order_of_each_shopper_and_the_verdicts_their_places(
    stream: AsyncRedis, worker: SyncRedis
) -> None:
    events = EventStream(stream, NAMESPACE, shards=4)
    reader = event_reader(worker, NAMESPACE, shards=4)
    reader.ensure_group()
    batch = [sent(f"{number:03}", user_key=f"u:{number % 7}") for number in range(70)]

    assert await events.append([*batch, sent("000", user_key="u:0"), sent("new", user_key="u:3")]) == [
        *["accepted"] * 70, "duplicate", "accepted",
    ]  # fmt: skip
    lines = [line for entry in reader.read("w1", 100, 10) for line in decode_events(entry.payload)]
    for shopper in range(7):
        of_shopper = [line.event_id for line in lines if line.user_key == f"u:{shopper}" and line.event_id != "new"]
        assert of_shopper == sorted(of_shopper)
        assert len(of_shopper) == 10


async def test_entries_of_a_dead_worker_are_claimed_counted_and_put_aside(
    stream: AsyncRedis, worker: SyncRedis
) -> None:
    await EventStream(stream, NAMESPACE).append([sent("a"), sent("b"), sent("c")])
    reader = event_reader(worker, NAMESPACE)
    reader.ensure_group()
    reader.ensure_group()
    reader.acknowledge(reader.read("dead", 1, 10))
    assert len(reader.read("dead", 100, 10)) == 2

    assert reader.claim_stale("w2", min_idle_ms=60_000) == []
    claimed = reader.claim_stale("w2", min_idle_ms=0)
    again = reader.claim_stale("w3", min_idle_ms=0)
    reader.dead_letter(again[0], "does not fit")
    reader.acknowledge(again[1:])

    assert [entry.deliveries for entry in claimed] == [2, 2]
    assert [entry.deliveries for entry in again] == [3, 3]
    assert reader.claim_stale("w2", min_idle_ms=0) == []
    (letter,) = reader.dead_letters()
    assert letter["reason"] == "does not fit"
    assert decode_events(letter["payload"].encode()) == [stored_event("b")]


async def test_trimming_removes_what_is_done_and_nothing_else(stream: AsyncRedis, worker: SyncRedis) -> None:
    await EventStream(stream, NAMESPACE).append([sent(f"{number}") for number in range(10)])
    reader = event_reader(worker, NAMESPACE)
    reader.ensure_group()
    assert reader.trim_behind_pending() == 0
    entries = reader.read("w1", 6, 10)
    reader.acknowledge([*entries[:2], entries[3]])

    assert (reader.lag().unread, reader.lag().pending) == (4, 3)
    assert reader.trim_behind_pending() == 2
    reader.acknowledge(entries)
    assert reader.trim_behind_pending() == 4
    assert len(reader.read("w1", 100, 10)) == 4


async def test_a_reader_survives_a_server_that_forgot_its_groups(stream: AsyncRedis, worker: SyncRedis) -> None:
    reader = event_reader(worker, NAMESPACE)
    assert reader.read("w1", 1, 10) == []
    await EventStream(stream, NAMESPACE).append([sent("a")])

    assert ids_of(reader) == ["a"]
    worker.flushall()
    assert reader.claim_stale("w1", 0) == []


async def test_impressions_arrive_as_they_were_sent(stream: AsyncRedis, worker: SyncRedis) -> None:
    shown = Impression(
        recommendation_id="r", made_at_ms=1, user_key="u:1", scenario="home", item_ids=["a"], served_from="live",
        degraded_reason="none",
    )  # fmt: skip
    reader = impression_reader(worker, NAMESPACE)
    reader.ensure_group()
    await ImpressionStream(stream, NAMESPACE).append([shown, shown])

    assert [decode_impression(entry.payload) for entry in reader.read("w1", 9, 10)] == [shown, shown]


async def test_changes_come_in_order_to_whoever_follows(stream: AsyncRedis, worker: SyncRedis) -> None:
    changes = ChangeStream(stream, NAMESPACE)
    await changes.publish(ChangeKind.RULES, {"version": "before"})
    followed: list[tuple[str, Any]] = []

    async def follow(after_id: str) -> None:
        async for change in changes.tail(after_id):
            followed.append((change.kind, change.body))

    task = asyncio.create_task(follow(await changes.last_id()))
    ChangePublisher(worker, NAMESPACE).publish(ChangeKind.MODEL, {"version": "m1"})
    await changes.publish_many(ChangeKind.ITEM, [{"seq": 1}, {"seq": 2}])
    async with asyncio.timeout(5):
        while len(followed) < 3:
            await asyncio.sleep(0.01)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert followed == [("model", {"version": "m1"}), ("item", {"seq": 1}), ("item", {"seq": 2})]


def test_a_stored_event_survives_the_stream_unchanged() -> None:
    event = stored_event("a", context={"x": [1, None, "y"]}, occurred_at=NOON.replace(microsecond=123_456))
    assert StoredEvent.model_validate_json(event.model_dump_json()) == event
