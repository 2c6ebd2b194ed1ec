"""An erased shopper is nowhere: no key, no row, no training set, not after a restore, and not by what comes late."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from services.feature.erasure_keeper import ErasureKeeper
from services.feature.ingest import make_workers
from services.feature.users import Accounts
from services.training.examples.postgres_source import PostgresSource
from shared.contracts.users import Consent, User, UserPatch
from shared.service.clock import SystemClock
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from shared.storage.redis.clients import AsyncRedis, async_client
from shared.storage.redis.recommendation_cache import Entry, RecommendationCache, Versions
from shared.storage.redis.stream_erasure import StreamErasure
from shared.storage.redis.tombstones import KEPT_DAYS, Tombstones
from shared.storage.redis.user_state import OnlineStateReader
from shared.storage.relational.interactions import insert_once
from shared.storage.relational.users import get_user, upsert_users
from tests.integration.ingest_support import NAMESPACE, Stores, append, event, sent, stored_ids

NOBODYS = Versions(None, None)


@pytest.fixture
def stores(database_url: str, stream_url: str, cache_url: str) -> Stores:
    return Stores(database_url, stream_url, cache_url)


@pytest.fixture
async def stream(stores: Stores) -> AsyncIterator[AsyncRedis]:
    async with async_client(stores.stream_url) as client:
        yield client


@pytest.fixture
async def cache(stores: Stores) -> AsyncIterator[AsyncRedis]:
    async with async_client(stores.cache_url) as client:
        yield client


@pytest.fixture
def accounts(engine: Engine, stream: AsyncRedis, cache: AsyncRedis) -> Accounts:
    return Accounts(
        engine,
        OnlineStateReader(cache, NAMESPACE),
        RecommendationCache(cache, NAMESPACE),
        StreamErasure(stream, NAMESPACE),
        Tombstones(stream, NAMESPACE),
    )


async def test_erasure_covers_rows_streams_caches_claims_and_the_next_training_set(
    accounts: Accounts, stores: Stores, engine: Engine, stream: AsyncRedis, cache: AsyncRedis
) -> None:
    lines = [event(f"anna-basket#{number}", "u:anna") for number in range(2)]
    await append(
        stores, [sent(*lines, event_id="anna-basket"), sent(event("anna-waits", "u:anna")), sent(event("bert"))]
    )
    with engine.begin() as connection:
        upsert_users(connection, [User(user_id="anna", region="north")])
        insert_once(connection, [*lines, event("bert")])
    await RecommendationCache(cache, NAMESPACE).write([Entry("0" * 32, "u:anna", b"{}", NOBODYS, 0)])
    receipt = await accounts.erase("anna")
    assert receipt.removed["redis.event_claims"] == 2
    keys = b" ".join([*(await stream.keys()), *(await cache.keys())])
    assert (b"anna-" in keys, b"claim:bert" in keys) == (False, True)
    assert [key for key in keys.split() if b"u:anna" in key] == [b"test:user-version:u:anna"]
    waiting = [fields[b"payload"] for _, fields in await stream.xrange(f"{NAMESPACE}:events:0")]
    assert [b"u:anna" in payload for payload in waiting] == [False]
    shop = PostgresSource(engine).read()
    assert set(shop.events["user_key"].to_pylist()) == {"u:1"}
    assert "u:anna" not in shop.profiles


async def test_a_list_that_was_being_made_during_the_erasure_or_the_refusal_is_not_kept(
    accounts: Accounts, cache: AsyncRedis
) -> None:
    lists, online = RecommendationCache(cache, NAMESPACE), OnlineStateReader(cache, NAMESPACE)
    await accounts.upsert([User(user_id="anna"), User(user_id="bert")])
    versions = {key: Versions(await online.version(key), None) for key in ("u:anna", "u:bert", "u:carl")}
    await accounts.erase("anna")
    await accounts.patch("bert", UserPatch(consent=Consent(personalisation=False)))
    await lists.write([Entry("0" * 32, key, b"{}", made_with, 0) for key, made_with in versions.items()])
    found = [key for key in versions if (await lists.read("0" * 32, key, 0)).found is not None]
    assert found == ["u:carl"]


async def test_late_events_of_an_erased_shopper_are_dropped_and_counted(
    accounts: Accounts, stores: Stores, engine: Engine, stream: AsyncRedis
) -> None:
    settings = Settings(
        namespace=NAMESPACE,
        database_url=stores.database_url,
        redis_stream_url=stores.stream_url,
        redis_cache_url=stores.cache_url,
    )
    metrics = ServiceMetrics("ingest")
    late = event("late", "u:anna")
    await accounts.erase("anna")
    await append(stores, [sent(late), sent(event("bert"))])
    with ExitStack() as closing:
        make_workers(settings, metrics, closing)["events"].turn()
    assert stored_ids(engine) == ["bert"]
    assert await stream.keys(f"{NAMESPACE}:claim:*") == [f"{NAMESPACE}:claim:bert".encode()]
    assert metrics.registry.get_sample_value("aisle_ingest_erased_total", {"stream": "events"}) == 1
    assert metrics.registry.get_sample_value("aisle_ingest_duplicates_total", {"stream": "events"}) == 0


async def test_tombstones_survive_the_restore_of_a_backup_that_does_not_know_them(
    accounts: Accounts, engine: Engine, stream: AsyncRedis
) -> None:
    anna, bert = User(user_id="anna", region="north"), User(user_id="bert", region="north")
    old = [event("anna-1", "u:anna"), event("bert-1", "u:bert"), event("carl-1", "u:carl")]
    await accounts.erase("anna")
    await accounts.erase("bert")
    with engine.begin() as connection:
        # What a backup from before both erasures brings back; Bert came back himself, too.
        connection.execute(text("DELETE FROM erasures"))
        insert_once(
            connection, [*old, event("bert-2", "u:bert", occurred_at=datetime.now(UTC) + timedelta(seconds=60))]
        )
        upsert_users(connection, [anna, bert])
        connection.execute(text("UPDATE users SET updated_at = now() - interval '1 day' WHERE user_id = 'anna'"))
    keeper = ErasureKeeper(engine, Tombstones(stream, NAMESPACE), accounts, SystemClock())
    await keeper.keep()
    assert stored_ids(engine) == ["bert-2", "carl-1"]
    with engine.begin() as connection:
        assert (get_user(connection, "anna"), get_user(connection, "bert") is None) == (None, False)
        assert insert_once(connection, [event("anna-2", "u:anna", occurred_at=old[0].occurred_at)]).new == []
        before = connection.execute(text("SELECT sum(xmin::text::bigint) FROM erasures")).scalar_one()
    await keeper.keep()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT sum(xmin::text::bigint) FROM erasures")).scalar_one() == before


async def test_tombstones_go_when_no_backup_can_be_that_old(stream: AsyncRedis) -> None:
    tombstones = Tombstones(stream, NAMESPACE)
    now_ms = SystemClock().now_ms()
    await tombstones.add(["u:old"], now_ms - (KEPT_DAYS + 1) * 24 * 3600 * 1000)
    await tombstones.add(["u:new", "v:new"], now_ms)
    assert await tombstones.all(now_ms) == {"u:new": now_ms, "v:new": now_ms}
    assert await stream.hlen(f"{NAMESPACE}:tombstones") == 2
