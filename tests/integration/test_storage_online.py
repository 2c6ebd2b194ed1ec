"""Online state and cached answers on a real Valkey that may lose any key at any time."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from shared.contracts.internal import WINDOW_SIZE, Profile
from shared.contracts.times import epoch_ms
from shared.storage.history import HistoryEvent, history_event, in_order
from shared.storage.redis.clients import AsyncRedis, SyncRedis, async_client, sync_client
from shared.storage.redis.lists_store import ListsStore
from shared.storage.redis.recommendation_cache import Entry, RecommendationCache, Versions, name_rules_version
from shared.storage.redis.user_state import MAX_EVENTS, SENTINEL, OnlineStateReader, OnlineStateWriter
from tests.integration.test_storage_interactions import NOON, stored_event

NAMESPACE = "shop"


@pytest.fixture
async def cache(cache_url: str) -> AsyncIterator[AsyncRedis]:
    async with async_client(cache_url) as client:
        yield client


@pytest.fixture
def cache_worker(cache_url: str) -> Iterator[SyncRedis]:
    with sync_client(cache_url) as client:
        yield client


def past_event(number: int) -> HistoryEvent:
    at_ms = epoch_ms(NOON + timedelta(seconds=number))
    return HistoryEvent(at_ms, f"e{number:05}", 6, f"item{number}", 1.5, 1.0)


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
    assert state.events == in_order(events)
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


async def test_a_held_state_is_given_again_until_an_event_a_forgetting_or_an_erasure_changes_its_version(
    cache: AsyncRedis, cache_worker: SyncRedis
) -> None:
    states, writer = OnlineStateReader(cache, NAMESPACE, held_states=1), OnlineStateWriter(cache_worker, NAMESPACE)
    for user_key in ("u:1", "u:2"):
        assert await states.rebuild(user_key, await states.version(user_key), [past_event(1)], Profile())
    first, again = await states.read("u:1"), await states.read("u:1")
    assert first is not None
    assert again is not None
    assert again.events is first.events
    writer.apply({"u:1": [past_event(2)]})
    changed = await states.read("u:1")
    assert changed is not None
    assert changed.events.item_id == ["item1", "item2"]

    other = await states.read("u:2")  # the one state that is held is now this one
    back = await states.read("u:1")
    assert other is not None
    assert back is not None
    assert back.events is not changed.events
    await states.forget(["u:1"])
    assert await states.read("u:1") is None
    assert await states.rebuild("u:1", await states.version("u:1"), [past_event(3)], Profile())
    assert await states.read("u:1") is not None
    await states.erase("u:1")
    assert await states.read("u:1") is None


async def test_a_long_past_is_trimmed_to_its_newest_events(cache: AsyncRedis, cache_worker: SyncRedis) -> None:
    states, writer = OnlineStateReader(cache, NAMESPACE), OnlineStateWriter(cache_worker, NAMESPACE)
    events = [past_event(number) for number in range(1000)]
    assert await states.rebuild("u:1", await states.version("u:1"), events, Profile())
    writer.apply({"u:1": [past_event(number) for number in (1000, 1001, 5)]})
    state = await states.read("u:1")

    assert state is not None
    assert len(state.events.item_id) == MAX_EVENTS > WINDOW_SIZE
    assert state.events.item_id[-1] == "item1001"
    assert state.events.at_ms_E.tolist() == sorted(state.events.at_ms_E.tolist())


async def test_states_read_together_are_those_read_one_by_one_and_none_where_a_part_is_gone(cache: AsyncRedis) -> None:
    states = OnlineStateReader(cache, NAMESPACE)
    for number, user_key in enumerate(("u:1", "u:2", "u:3", "u:4", "u:none", "u:half")):
        events = [past_event(place) for place in range(100 * number)]
        assert await states.rebuild(user_key, await states.version(user_key), events, Profile(region=f"r{number}"))
    await cache.delete("shop:user-version:u:3", "shop:user-profile:u:4", "shop:user-events:u:none")
    await cache.zrem("shop:user-events:u:half", SENTINEL)
    read = await states.read_many(["u:2", "u:1", "u:3", "nobody", "u:4", "u:none", "u:half"])
    assert read == [await states.read("u:2"), await states.read("u:1"), None, None, None, None, None]
    assert read[0] is not None
    assert (len(read[0].events), read[0].profile.region) == (100, "r1")


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


async def test_a_cached_answer_is_fresh_until_a_version_changes_or_its_time_is_up(
    cache: AsyncRedis, cache_worker: SyncRedis
) -> None:
    answers = RecommendationCache(cache, NAMESPACE, ttl_s=60, fraction=lambda: 0.0)
    states = OnlineStateReader(cache, NAMESPACE)
    version = await states.version("u:1")
    looked = await answers.read("hash", "u:1", now_ms=0)
    assert (looked.found, looked.versions) == (None, Versions(version, None))
    await answers.write([Entry("hash", "u:1", b'{"a":\n1}', looked.versions, made_at_ms=0)])

    async def freshness(now_ms: int) -> bool:
        found = (await answers.read("hash", "u:1", now_ms)).found
        assert found is not None
        assert (found.body, found.made_at_ms) == (b'{"a":\n1}', 0)
        return found.fresh

    assert await freshness(47_999)
    assert not await freshness(48_000)  # 60 s less the most the jitter takes
    name_rules_version(cache_worker, NAMESPACE, "r1")
    assert not await freshness(0)
    assert await answers.rules_version() == "r1"
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
        await answers.write([Entry("0" * 32, user_key, b"body", Versions(None, None), 0)])

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


async def test_lists_are_kept_as_bytes(cache: AsyncRedis) -> None:
    lists = ListsStore(cache, NAMESPACE)
    assert await lists.get() is None
    await lists.put(b"{}")
    assert await lists.get() == b"{}"
