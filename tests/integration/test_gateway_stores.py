"""The gateway over real Valkey servers; feature and ranking answer by rule."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import orjson
import pytest

from services.gateway.composition import compose
from services.gateway.main import connect
from shared.contracts.impressions import Impression
from shared.service.background import running
from shared.service.clock import SystemClock
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from shared.storage.redis.change_stream import ChangeKind, ChangeStream
from shared.storage.redis.clients import AsyncRedis, async_client
from shared.storage.redis.event_stream import decode_events
from shared.storage.redis.impression_stream import decode_impression
from shared.storage.redis.keys import Keys
from shared.storage.redis.lists_store import ListsStore
from tests.unit.gateway.rig import POPULAR, Rig, RunningGateway, ids, settle

KEYS = Keys("aisle")


@pytest.fixture
async def stream(stream_url: str) -> AsyncIterator[AsyncRedis]:
    client = async_client(stream_url)
    yield client
    await client.aclose()


@pytest.fixture
async def cache(cache_url: str) -> AsyncIterator[AsyncRedis]:
    client = async_client(cache_url)
    await ListsStore(client, "aisle").put(POPULAR)
    yield client
    await client.aclose()


@pytest.fixture
async def gateway(tmp_path: Path, stream_url: str, cache_url: str, cache: AsyncRedis) -> AsyncIterator[RunningGateway]:
    settings = Settings(
        home=tmp_path, redis_stream_url=stream_url, redis_cache_url=cache_url, cache_timeout_ms=500, lists_poll_s=1
    )
    rig = Rig(tmp_path)
    outside, closing = connect(settings)
    real = type(outside)(**vars(outside) | {"feature": rig.feature, "ranking": rig.ranking})
    parts = compose(settings, real, SystemClock(), ServiceMetrics("gateway"))
    async with closing, running(**parts.jobs):
        while parts.board.current.is_empty or not parts.changes.connected:
            await asyncio.sleep(0.01)
        yield RunningGateway(rig, parts)


async def until_kept(cache: AsyncRedis) -> None:
    for _ in range(200):
        if [key async for key in cache.scan_iter("aisle:list:*")]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("no list was kept")


async def test_a_list_is_kept_until_the_shopper_does_something(gateway: RunningGateway, cache: AsyncRedis) -> None:
    assert (await gateway.recommend())["served_from"] == "live"
    await until_kept(cache)
    assert (await gateway.recommend())["served_from"] == "cache"
    await cache.set(KEYS.user_version("u:1"), "another")
    assert (await gateway.recommend())["served_from"] == "live"


async def test_a_change_of_an_item_on_the_stream_reaches_cached_and_popular_lists_within_two_seconds(
    gateway: RunningGateway, cache: AsyncRedis, stream: AsyncRedis
) -> None:
    await gateway.recommend(num_items=3)
    await until_kept(cache)
    changes = ChangeStream(stream, "aisle")
    await changes.publish(ChangeKind.ITEM, {"seq": 1, "item": {"item_id": "item-2", "stock": 0}})
    await changes.publish(ChangeKind.ITEM, {"seq": 2, "item": {"item_id": "pop-1", "stock": 0}})
    async with asyncio.timeout(2):
        while gateway.parts.changes.newest("pop-1") is None:
            await asyncio.sleep(0.01)
    assert (await gateway.recommend(num_items=3))["served_from"] == "live"
    gateway.rig.ranking.down = True
    assert ids(await gateway.recommend(user_id=2))[0] == "pop-2"


async def test_events_are_in_the_stream_when_they_are_called_accepted(
    gateway: RunningGateway, stream: AsyncRedis
) -> None:
    event = {"type": "purchase", "user_id": 1, "event_id": "e1", "items": [{"item_id": 7}, {"item_id": 8}]}
    receipt = await gateway.gateway.events.accept([event, event, {**event, "items": [{"item_id": 9}]}])
    ((_, fields),) = await stream.xrange(KEYS.events(0))
    assert [line.item_id for line in decode_events(fields[b"payload"])] == ["7", "8"]
    assert (receipt.accepted, receipt.duplicates) == (1, 1)
    assert [entry.code for entry in receipt.rejected] == ["event_id_conflict"]


async def test_impressions_reach_their_stream_after_the_answer(gateway: RunningGateway, stream: AsyncRedis) -> None:
    reply = await gateway.recommend(num_items=2)
    async with asyncio.timeout(2):
        while not (entries := await stream.xrange(KEYS.impressions())):
            await asyncio.sleep(0.01)
    impression: Impression = decode_impression(entries[0][1][b"payload"])
    assert impression.recommendation_id == reply["recommendation_id"]
    assert impression.item_ids == ["item-1", "item-2"]


async def test_a_cache_that_is_away_costs_no_request(
    tmp_path: Path, stream_url: str, unused_port: Callable[[], int]
) -> None:
    away = f"redis://127.0.0.1:{unused_port()}/0"
    settings = Settings(home=tmp_path, redis_stream_url=stream_url, redis_cache_url=away)
    rig = Rig(tmp_path)
    outside, closing = connect(settings)
    real = type(outside)(**vars(outside) | {"feature": rig.feature, "ranking": rig.ranking})
    parts = compose(settings, real, SystemClock(), ServiceMetrics("gateway"))
    async with closing, running(**parts.jobs):
        await settle()
        gateway = RunningGateway(rig, parts)
        for number in range(30):
            reply = await gateway.recommend(user_id=number)
            assert (reply["served_from"], reply["degraded_reason"]) == ("live", "none")


async def test_the_lists_of_the_store_become_the_snapshot(gateway: RunningGateway, tmp_path: Path) -> None:
    assert orjson.loads((tmp_path / "snapshot" / "lists.json").read_bytes()) == orjson.loads(POPULAR)
