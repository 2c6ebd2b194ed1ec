"""Nothing holds an event loop: while each service is busy, whoever else asks is turned to within LIMIT_MS.

Limit       several times the longest single computation in the tiny shop, and less than what AT_ONCE of them take
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from services.feature.main import create_app as feature_app
from services.gateway.composition import compose
from services.gateway.main import connect
from shared.contracts.events import EventType
from shared.service.background import running
from shared.service.clock import SystemClock
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from tests.asgi_client import call
from tests.integration.ingest_support import event
from tests.integration.ranking_support import open_shop, rank, serving, until, until_serves
from tests.loop_lag import LoopLag
from tests.tiny_bundle import publish_tiny
from tests.tiny_shop import tiny_items
from tests.unit.gateway.rig import Rig, RunningGateway
from tests.unit.ranking.requests import Did, request

LIMIT_MS = 40.0
AT_ONCE, EACH = 8, 25
SHOPPERS = 60
FAR_AHEAD_MS = 2**50


async def crowd(ask: Callable[[int], Awaitable[Any]]) -> None:
    """Let several callers ask at once, each one thing after the other."""

    async def one(caller: int) -> None:
        for number in range(EACH):
            await ask(caller * EACH + number)

    await asyncio.gather(*map(one, range(AT_ONCE)))


def assert_free(lag: LoopLag) -> None:
    """Fail if the loop was held too long, or if the probe saw too little to tell."""
    assert lag.ticks > AT_ONCE
    assert lag.longest_ms < LIMIT_MS, f"the loop was held for {lag.longest_ms:.0f} ms"


async def test_ranking_turns_to_others_while_it_ranks_and_takes_in_a_new_model(
    engine: Engine, database_url: str, stream_url: str, tmp_path: Path
) -> None:
    shop = open_shop(engine, database_url, stream_url, tmp_path)
    first, second = (publish_tiny(shop.bundles, seed) for seed in (0, 1))
    shop.point_at(first)
    departments = [item.item_id for item in tiny_items()]
    async with serving(shop.settings) as app:
        await until_serves(app, first)
        async with LoopLag() as lag:
            await asyncio.to_thread(shop.point_at, second)
            await crowd(lambda number: rank(app, request(Did(departments[number % len(departments)], 1 + number % 30))))
            await until_serves(app, second)
    assert_free(lag)


@pytest.fixture
async def feature(database_url: str, stream_url: str, cache_url: str) -> AsyncIterator[FastAPI]:
    settings = Settings(
        database_url=database_url,
        redis_stream_url=stream_url,
        redis_cache_url=cache_url,
        lists_refresh_s=1,
        cache_timeout_ms=1000,
        feature_timeout_ms=5000,
    )
    app = feature_app(settings)
    async with app.router.lifespan_context(app):
        await until(lambda: call(app, "GET", "/readyz"), lambda answer: answer.status == 200)
        yield app


async def test_feature_turns_to_others_while_it_rebuilds_states_and_stores_events_and_items(feature: FastAPI) -> None:
    async def ask(number: int) -> None:
        shopper = number % SHOPPERS
        line = event(str(number), user_key=f"u:{shopper}", type=EventType.PURCHASE, item_id=str(number % 50))
        stored = await call(feature, "POST", "/events/insert", [line.model_dump(mode="json")])
        item = {"item_id": number % 50, "title": "Cup", "price": 1.0 + number}
        written = await call(feature, "POST", "/items", {"items": [item]})
        known = await call(feature, "POST", "/state", {"user_key": f"u:{shopper}", "as_of_ms": FAR_AHEAD_MS})
        assert [answer.status for answer in (stored, written, known)] == [200, 200, 200]
        assert known.document["features"]["purchase_count"] >= 1

    async with LoopLag() as lag:
        await crowd(ask)
    assert_free(lag)


async def test_gateway_turns_to_others_while_it_answers_and_accepts_events(
    stream_url: str, cache_url: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, redis_stream_url=stream_url, redis_cache_url=cache_url, lists_poll_s=1)
    rig = Rig(tmp_path)
    outside, closing = connect(settings)
    real = type(outside)(**vars(outside) | {"feature": rig.feature, "ranking": rig.ranking})
    parts = compose(settings, real, SystemClock(), ServiceMetrics("gateway"))
    async with closing, running(**parts.jobs):
        gateway = RunningGateway(rig, parts)

        async def ask(number: int) -> None:
            await gateway.recommend(user_id=number % SHOPPERS, num_items=50)
            bought = [{"type": "view", "user_id": number, "item_id": place} for place in range(20)]
            assert (await gateway.gateway.events.accept(bought)).accepted == len(bought)

        async with LoopLag() as lag:
            await crowd(ask)
    assert_free(lag)
