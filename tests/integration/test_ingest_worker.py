"""The ingest worker over real stores: what it stores and shows, and what it does when a store or an entry is bad."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

import services.feature.stream_worker as loop
from deploy.local.ports import free_port
from deploy.local.valkey import CACHE, ValkeyServer
from services.feature.event_store import EventStore
from services.feature.ingest import make_workers
from services.feature.stream_worker import MAX_DELIVERIES, StreamWorker
from services.feature.user_state import Origin, UserStates
from shared.contracts.events import EventType
from shared.contracts.impressions import Impression
from shared.features.shopper_events import unpacked
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from shared.storage.history import in_order
from shared.storage.redis.clients import async_client, sync_client
from shared.storage.redis.event_stream import event_reader
from shared.storage.redis.impression_stream import ImpressionStream
from shared.storage.redis.stream_reader import Backlog
from shared.storage.redis.user_state import OnlineStateWriter
from shared.storage.relational.erasure import erase_user, merge_visitor
from shared.storage.relational.interactions import newest_events
from tests.integration.ingest_support import (
    NAMESPACE,
    Stores,
    append,
    backlog,
    event,
    sent,
    stored_ids,
    user_states,
)

FAR_AHEAD_MS = 2**50


@pytest.fixture
def stores(database_url: str, stream_url: str, cache_url: str) -> Stores:
    return Stores(database_url, stream_url, cache_url)


@pytest.fixture
async def states(stores: Stores, engine: Engine) -> AsyncIterator[UserStates]:
    async with user_states(stores, engine) as states:
        yield states


@pytest.fixture(autouse=True)
def claim_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CLAIM_EVERY_S", 0.0)
    monkeypatch.setattr(loop, "CLAIM_IDLE_MS", 0)
    monkeypatch.setattr(loop, "FIRST_CLAIM_IDLE_MS", 0)
    monkeypatch.setattr(loop, "BLOCK_MS", 20)


@pytest.fixture
def metrics() -> ServiceMetrics:
    return ServiceMetrics("ingest")


@pytest.fixture
def workers(stores: Stores, metrics: ServiceMetrics) -> Iterator[dict[str, StreamWorker]]:
    with ExitStack() as closing:
        yield make_workers(settings_for(stores), metrics, closing)


@pytest.fixture
def worker(workers: dict[str, StreamWorker]) -> StreamWorker:
    return workers["events"]


def settings_for(stores: Stores) -> Settings:
    return Settings(
        namespace=NAMESPACE,
        database_url=stores.database_url,
        redis_stream_url=stores.stream_url,
        redis_cache_url=stores.cache_url,
    )


def figure(metrics: ServiceMetrics, name: str, stream: str = "events") -> float:
    return metrics.registry.get_sample_value(f"aisle_ingest_{name}", {"stream": stream}) or 0.0


def counted(engine: Engine, user_key: str) -> object:
    with engine.connect() as connection:
        return in_order(newest_events(connection, user_key, 1000))


async def test_an_event_is_stored_shown_and_acknowledged(
    stores: Stores, engine: Engine, states: UserStates, worker: StreamWorker, metrics: ServiceMetrics
) -> None:
    before, _ = await states.state("u:1", FAR_AHEAD_MS)
    await append(stores, [sent(event("a#1"), event("a#2", item_id="hat"), event_id="a")])
    worker.turn()

    after, origin = await states.state("u:1", FAR_AHEAD_MS)
    shown = unpacked(after.events).item_id
    assert (stored_ids(engine), shown, origin) == (["a#1", "a#2"], ["shoe", "hat"], Origin.ONLINE)
    assert after.version != before.version
    assert backlog(stores) == Backlog(0, 0)
    assert (figure(metrics, "inserted_total"), figure(metrics, "effect_seconds_count")) == (2.0, 2.0)


async def test_a_shopper_not_online_is_given_a_new_version_and_rebuilt_by_the_next_reader(
    stores: Stores, states: UserStates, worker: StreamWorker
) -> None:
    await append(stores, [sent(event("a"))])
    worker.turn()
    assert (await states.state("u:1", FAR_AHEAD_MS))[1] is Origin.REBUILT
    assert (await states.state("u:1", FAR_AHEAD_MS))[1] is Origin.ONLINE


async def test_a_worker_that_died_after_the_commit_leaves_no_event_unseen(
    stores: Stores, engine: Engine, states: UserStates, worker: StreamWorker
) -> None:
    await states.state("u:1", FAR_AHEAD_MS)
    first = sent(event("a"))
    await append(stores, [first, sent(event("b"))])
    with sync_client(stores.stream_url) as stream, sync_client(stores.cache_url) as cache:
        entries = event_reader(stream, NAMESPACE)
        entries.ensure_group()
        assert len(entries.read("the dead one", 10, 10)) == 2
        EventStore(engine, OnlineStateWriter(cache, NAMESPACE)).insert(first.lines)
    worker.turn()

    state, _ = await states.state("u:1", FAR_AHEAD_MS)
    assert stored_ids(engine) == ["a", "b"]
    assert unpacked(state.events) == counted(engine, "u:1")
    assert backlog(stores) == Backlog(0, 0)


async def test_a_poison_entry_becomes_a_dead_letter_and_delays_nobody(
    stores: Stores, engine: Engine, worker: StreamWorker, metrics: ServiceMetrics
) -> None:
    with sync_client(stores.stream_url) as client:
        client.xadd(f"{NAMESPACE}:events:0", {"payload": b'[{"event_id": "broken"}]'})
        await append(stores, [sent(event("a"))])
        for _ in range(MAX_DELIVERIES):
            worker.turn()
            assert stored_ids(engine) == ["a"]
        letters = event_reader(client, NAMESPACE).dead_letters()
    assert [letter["payload"] for letter in letters] == ['[{"event_id": "broken"}]']
    assert "ValidationError" in letters[0]["reason"]
    assert backlog(stores) == Backlog(0, 0)
    assert figure(metrics, "dead_letters_total") == 1.0


async def test_an_event_the_database_refuses_becomes_a_dead_letter_and_delays_nobody(
    stores: Stores, engine: Engine, worker: StreamWorker
) -> None:
    await append(stores, [sent(event(f"good {number}")) for number in range(20)])
    await append(stores, [sent(event("bad", position=10**9))])
    for _ in range(MAX_DELIVERIES):
        worker.turn()
    with sync_client(stores.stream_url) as client:
        assert len(event_reader(client, NAMESPACE).dead_letters()) == 1
    assert len(stored_ids(engine)) == 20
    assert backlog(stores) == Backlog(0, 0)


async def test_another_event_under_a_known_id_is_put_aside_not_dropped_in_silence(
    stores: Stores, engine: Engine, worker: StreamWorker
) -> None:
    await append(stores, [sent(event("a"))])
    worker.turn()
    with sync_client(stores.stream_url) as client:
        client.delete(f"{NAMESPACE}:claim:a")  # seven days later
        await append(stores, [sent(event("a", item_id="hat"))])
        worker.turn()
        assert event_reader(client, NAMESPACE).dead_letters()[0]["reason"].startswith("event_id_conflict")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT item_id FROM interactions")).scalars().all() == ["shoe"]


async def test_without_the_database_entries_wait_and_are_stored_when_it_is_back(
    stores: Stores, engine: Engine, metrics: ServiceMetrics
) -> None:
    nowhere = settings_for(stores).model_copy(
        update={"database_url": f"postgresql+psycopg2://x@127.0.0.1:{free_port()}/x"}
    )
    await append(stores, [sent(event("a"))])
    with ExitStack() as closing:
        worker = make_workers(nowhere, ServiceMetrics("other"), closing)["events"]
        for _ in range(MAX_DELIVERIES + 2):
            with pytest.raises(loop.STORES_DOWN):
                worker.turn()
    assert backlog(stores) == Backlog(0, 1)
    with ExitStack() as closing:
        make_workers(settings_for(stores), metrics, closing)["events"].turn()
    assert (stored_ids(engine), backlog(stores)) == (["a"], Backlog(0, 0))


async def test_without_the_cache_events_are_stored_held_and_shown_when_it_is_back(
    stores: Stores, engine: Engine, store_home: Path, metrics: ServiceMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.feature.event_writer.SHOW_AGAIN_S", 0.0)
    cache = ValkeyServer("short-lived", store_home, free_port(), CACHE)
    own = Stores(stores.database_url, stores.stream_url, cache.url)
    with ExitStack() as closing:
        worker = make_workers(settings_for(own), metrics, closing)["events"]
        await append(own, [sent(event("a"))])
        worker.turn()
        worker.turn()
        assert (stored_ids(engine), backlog(own).pending) == (["a"], 1)
        cache.start()
        try:
            await append(own, [sent(event("b"))])
            worker.turn()
            assert (stored_ids(engine), backlog(own)) == (["a", "b"], Backlog(0, 0))
            async with user_states(own, engine) as states:
                assert unpacked((await states.state("u:1", FAR_AHEAD_MS))[0].events) == counted(engine, "u:1")
        finally:
            cache.stop()


async def test_a_shopper_erased_between_storing_and_showing_is_not_online_again(
    stores: Stores, engine: Engine, states: UserStates
) -> None:
    with sync_client(stores.cache_url) as cache:
        store = EventStore(engine, OnlineStateWriter(cache, NAMESPACE))
        outcome = store.insert([event("a"), event("b", "v:cookie")])
        with engine.begin() as connection:
            erase_user(connection, "1")
            merge_visitor(connection, "cookie", "2")
        for user_key in ("u:1", "v:cookie"):
            await states.state(user_key, FAR_AHEAD_MS)
        store.show([outcome])
    for user_key, item_ids in (("u:1", []), ("v:cookie", []), ("u:2", ["shoe"])):
        assert unpacked((await states.state(user_key, FAR_AHEAD_MS))[0].events).item_id == item_ids


async def test_a_late_event_takes_its_place_in_time(
    stores: Stores, engine: Engine, states: UserStates, worker: StreamWorker
) -> None:
    await states.state("u:1", FAR_AHEAD_MS)
    now = datetime.now(UTC)
    await append(
        stores, [sent(event("new", occurred_at=now)), sent(event("tied b", occurred_at=now - timedelta(hours=1)))]
    )
    worker.turn()
    late = [event("old", occurred_at=now - timedelta(days=3)), event("tied a", occurred_at=now - timedelta(hours=1))]
    await append(stores, [sent(late[0]), sent(late[1])])
    worker.turn()

    online, origin = await states.state("u:1", FAR_AHEAD_MS)
    assert origin is Origin.ONLINE
    events = unpacked(online.events)
    assert events == counted(engine, "u:1")
    assert events.at_ms_E.tolist() == sorted(events.at_ms_E.tolist())


async def test_a_search_without_an_item_is_stored_and_shown(
    stores: Stores, engine: Engine, states: UserStates, worker: StreamWorker
) -> None:
    await states.state("u:1", FAR_AHEAD_MS)
    await append(stores, [sent(event("s", type=EventType.SEARCH, item_id=None))])
    worker.turn()
    assert unpacked((await states.state("u:1", FAR_AHEAD_MS))[0].events) == counted(engine, "u:1")


async def test_impressions_reach_their_table_once(
    stores: Stores, engine: Engine, workers: dict[str, StreamWorker], metrics: ServiceMetrics
) -> None:
    shown = Impression(
        recommendation_id="r1",
        made_at_ms=1_790_000_000_000,
        user_key="u:1",
        session_id="s1",
        scenario="home",
        item_ids=["shoe", "hat"],
        scores=[2.0, 1.0],
        propensities=[1.0, 1.0],
        features={"schema": "abc", "context": {"hour": 9}},
        served_from="live",
        degraded_reason="none",
    )
    client = async_client(stores.stream_url)
    await ImpressionStream(client, NAMESPACE).append([shown, shown])
    await client.aclose()
    workers["impressions"].turn()
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT item_ids, propensities, session_id, features FROM impressions")).all()
    assert tuple(row) == (["shoe", "hat"], [1.0, 1.0], "s1", {"schema": "abc", "context": {"hour": 9}})
    assert figure(metrics, "inserted_total", "impressions") == 1.0
    with sync_client(stores.stream_url) as sync:
        assert sync.xpending(f"{NAMESPACE}:impressions", "ingest")["pending"] == 0
