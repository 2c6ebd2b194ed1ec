"""Streams, online state, cached answers and changes on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.content_hash import content_hash
from shared.contracts.events import StoredEvent
from shared.contracts.impressions import Impression
from shared.contracts.internal import WINDOW_SIZE, Profile
from shared.contracts.times import epoch_ms
from shared.storage.history import HistoryEvent, as_columns, history_event
from shared.storage.redis.change_stream import ChangeKind, ChangePublisher, ChangeStream
from shared.storage.redis.clients import AsyncRedis, SyncRedis, async_client, sync_client
from shared.storage.redis.event_stream import EventStream, StreamEvent, StreamReader, decode_events, event_reader
from shared.storage.redis.impression_stream import ImpressionStream, decode_impression, impression_reader
from shared.storage.redis.lists_store import ListsStore
from shared.storage.redis.recommendation_cache import RecommendationCache, Versions
from shared.storage.redis.user_state import MAX_EVENTS, OnlineStateReader, OnlineStateWriter
from tests.integration.test_storage_interactions import NOON, stored_event

NAMESPACE = "shop"


@pytest.fixture
async def stream(stream_url: str) -> AsyncIterator[AsyncRedis]:
    async with async_client(stream_url, timeout_s=5) as client:
        yield client


@pytest.fixture
async def cache(cache_url: str) -> AsyncIterator[AsyncRedis]:
    async with async_client(cache_url) as client:
        yield client


@pytest.fixture
def worker(stream_url: str) -> Iterator[SyncRedis]:
    with sync_client(stream_url) as client:
        yield client


@pytest.fixture
def cache_worker(cache_url: str) -> Iterator[SyncRedis]:
    with sync_client(cache_url) as client:
        yield client


def sent(event_id: str, **changes: Any) -> StreamEvent:
    line = stored_event(event_id, **changes)
    return StreamEvent(event_id, content_hash([line], time_given=True), [line])


def past_event(number: int) -> HistoryEvent:
    at_ms = epoch_ms(NOON + timedelta(seconds=number))
    return HistoryEvent(at_ms, f"e{number:05}", 6, f"item{number}", 1.5, 1.0)


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


async def test_online_state_is_read_back_as_postgres_gave_it(cache: AsyncRedis) -> None:
    states = OnlineStateReader(cache, NAMESPACE)
    events = [
        history_event(stored_event("b", price=0.1, quantity=1.7)),
        history_event(stored_event("a", price=None, item_id=None)),
        history_event(stored_event("ä", item_id="schön")),
        history_event(stored_event("ab", occurred_at=NOON - timedelta(days=20_000))),
    ]
    assert await states.read("u:1") is None
    version = await states.version("u:1")
    assert await states.rebuild("u:1", version, events, Profile(gender="f"))
    state = await states.read("u:1")

    assert state is not None
    assert state.version == version == await states.version("u:1")
    assert state.profile == Profile(gender="f")
    assert state.events == as_columns(events)
    assert state.events.item_id == ["shoe", "", "shoe", "schön"]


async def test_a_rebuild_never_overwrites_what_the_worker_wrote_meanwhile(
    cache: AsyncRedis, cache_worker: SyncRedis
) -> None:
    states, writer = OnlineStateReader(cache, NAMESPACE), OnlineStateWriter(cache_worker, NAMESPACE)
    version = await states.version("u:1")
    writer.apply({"u:1": [past_event(2)]})  # committed after the reader looked at Postgres

    assert not await states.rebuild("u:1", version, [past_event(1)], Profile())
    assert await states.read("u:1") is None
    version = await states.version("u:1")
    assert await states.rebuild("u:1", version, [past_event(1), past_event(2)], Profile())
    writer.apply({"u:1": [past_event(3), past_event(2)]})
    state = await states.read("u:1")

    assert state is not None
    assert state.events.item_id == ["item1", "item2", "item3"]
    assert state.version != version


@pytest.mark.parametrize("lost", ["user-events", "user-profile", "user-version"])
async def test_a_state_that_lost_any_key_is_no_state_and_events_do_not_start_half_a_one(
    cache: AsyncRedis, cache_worker: SyncRedis, lost: str
) -> None:
    states, writer = OnlineStateReader(cache, NAMESPACE), OnlineStateWriter(cache_worker, NAMESPACE)
    assert await states.rebuild("u:1", await states.version("u:1"), [past_event(1)], Profile())
    await cache.delete(f"{NAMESPACE}:{lost}:u:1")
    assert await states.read("u:1") is None
    writer.apply({"u:1": [past_event(2)]})
    state = await states.read("u:1")

    assert state is None or (lost == "user-version" and state.events.item_id == ["item1", "item2"])


async def test_a_long_past_is_trimmed_to_its_newest_events(cache: AsyncRedis, cache_worker: SyncRedis) -> None:
    states, writer = OnlineStateReader(cache, NAMESPACE), OnlineStateWriter(cache_worker, NAMESPACE)
    events = [past_event(number) for number in range(1000)]
    assert await states.rebuild("u:1", await states.version("u:1"), events, Profile())
    writer.apply({"u:1": [past_event(number) for number in (1000, 1001, 5)]})
    state = await states.read("u:1")

    assert state is not None
    assert len(state.events.item_id) == MAX_EVENTS > WINDOW_SIZE
    assert state.events.item_id[-1] == "item1001"
    assert state.events.at_ms == sorted(state.events.at_ms)


async def test_forgetting_stops_a_rebuild_under_way_and_erasing_leaves_no_lasting_trace(cache: AsyncRedis) -> None:
    states = OnlineStateReader(cache, NAMESPACE)
    version = await states.version("u:1")
    await states.forget(["u:1", "u:2"])
    assert not await states.rebuild("u:1", version, [past_event(1)], Profile())

    assert await states.rebuild("u:1", await states.version("u:1"), [past_event(1)], Profile())
    await states.erase("u:1")
    assert await states.read("u:1") is None
    assert [key async for key in cache.scan_iter("*u:1")] == [b"shop:user-version:u:1"]
    assert 0 < await cache.ttl("shop:user-version:u:1") < 60


async def test_a_cached_answer_is_fresh_until_a_version_changes_or_its_time_is_up(cache: AsyncRedis) -> None:
    answers = RecommendationCache(cache, NAMESPACE, ttl_s=60, fraction=lambda: 0.0)
    states = OnlineStateReader(cache, NAMESPACE)
    await answers.set_model_version("m1")
    version = await states.version("u:1")
    looked = await answers.read("hash", "u:1", now_ms=0)
    assert (looked.found, looked.versions) == (None, Versions(version, "m1", None))
    await answers.write("hash", "u:1", b'{"a":\n1}', looked.versions, now_ms=0)

    async def freshness(now_ms: int) -> bool:
        found = (await answers.read("hash", "u:1", now_ms)).found
        assert found is not None
        assert (found.body, found.made_at_ms) == (b'{"a":\n1}', 0)
        return found.fresh

    assert await freshness(47_999)
    assert not await freshness(48_000)  # 60 s less the most the jitter takes
    await answers.set_model_version("m2")
    assert not await freshness(0)
    await answers.set_model_version("m1")
    await answers.set_rules_version("r1")
    assert not await freshness(0)
    await cache.delete("shop:rules-version")
    assert await freshness(0)
    await states.forget(["u:1"])
    assert not await freshness(0)


async def test_an_answer_that_cannot_be_read_counts_as_absent(cache: AsyncRedis) -> None:
    answers = RecommendationCache(cache, NAMESPACE)
    for entry in (b"", b"no json\nbody", b'{"versions":[1,2,3]}\nbody', b"[]\nbody"):
        await cache.set("shop:list:u:1:hash", entry)
        assert (await answers.read("hash", "u:1", 0)).found is None


async def test_erasing_deletes_the_answers_of_one_shopper_and_of_no_lookalike(cache: AsyncRedis) -> None:
    answers = RecommendationCache(cache, NAMESPACE)
    for user_key in ("u:a*", "u:a*", "u:ab", "u:a", "u:[a]", "u:a*:b"):
        await answers.write("0" * 32, user_key, b"body", Versions(None, None, None), 0)

    assert await answers.erase("u:[a]") == 1
    assert await answers.erase("u:a*") == 1
    assert (await answers.read("0" * 32, "u:ab", 0)).found is not None
    assert (await answers.read("0" * 32, "u:a*:b", 0)).found is not None


async def test_only_one_computes_an_answer_at_a_time(cache: AsyncRedis) -> None:
    answers = RecommendationCache(cache, NAMESPACE)
    token = await answers.lock("hash", "u:1", wait_ms=5000)
    assert token is not None
    assert await answers.lock("hash", "u:1") is None
    await answers.unlock("hash", "u:1", "not ours")
    assert await answers.lock("hash", "u:1") is None
    await answers.unlock("hash", "u:1", token)
    assert await answers.lock("hash", "u:1") is not None


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


async def test_lists_are_kept_as_bytes(cache: AsyncRedis) -> None:
    lists = ListsStore(cache, NAMESPACE)
    assert await lists.get() is None
    await lists.put(b"{}")
    assert await lists.get() == b"{}"


def test_a_stored_event_survives_the_stream_unchanged() -> None:
    event = stored_event("a", context={"x": [1, None, "y"]}, occurred_at=NOON.replace(microsecond=123_456))
    assert StoredEvent.model_validate_json(event.model_dump_json()) == event
