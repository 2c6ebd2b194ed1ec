"""C2 to C4: everybody wants the same at once, all lists age together, one shopper has done a million things."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import numpy as np
import pytest
from sqlalchemy import text

from deploy.local.ports import LOOPBACK, free_port
from shared.storage.redis.clients import sync_client
from shared.storage.relational.engine import make_engine
from shared.storage.relational.partitions import ensure_months
from tests.faults.child import Child
from tests.faults.stack import FaultStack

CROWD = 1000
HOT_LISTS = 20
MANY, FEW = 1_000_000, 100
FILL = """
INSERT INTO interactions (event_id, type, user_key, item_id, occurred_at, received_at, quantity, context)
SELECT :name || '-' || n, 1, 'u:' || :name, 'wine-plain-' || n % 5,
    date_trunc('milliseconds', now()) - n * interval '1 second', now(), 1, CAST('{}' AS jsonb)
FROM generate_series(1, :number) AS n
"""
TTL_S = 1


async def crowd(stack: FaultStack, port: int, bodies: list[dict[str, Any]]) -> Counter[str]:
    """Send all of these at once; return how often each rung and status answered."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=stack.credentials) as session:

        async def ask(body: dict[str, Any]) -> str:
            async with session.post(f"http://{LOOPBACK}:{port}/recommend", json=body) as answer:
                document = await answer.json()
                if answer.status == 200:
                    return str(document["served_from"])
                assert answer.headers["Retry-After"]
                return str(answer.status)

        return Counter(await asyncio.gather(*map(ask, bodies)))


def ranked(stack: FaultStack) -> float:
    """Return how many lists ranking has made until now."""
    return stack.figures("ranking").of("ranking_stage_seconds_count", stage="fuse")


@pytest.mark.case("C2")
def test_a_thousand_requests_of_one_shopper_at_once_cost_one_ranking(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    before = ranked(stack)
    seen = asyncio.run(crowd(stack, stack.ports["gateway"], [{"user_id": "c2", "num_items": 5}] * CROWD))
    made = ranked(stack) - before
    assert set(seen) <= {"live", "cache", "503"}
    assert seen["live"] + seen["cache"] > 0
    assert made == 1
    held(f"{CROWD} at once: {made:.0f} ranking, {dict(seen)}")


@pytest.fixture
def short_lived(stack: FaultStack) -> Iterator[Child]:
    """Return a gateway whose lists are fresh for a second."""
    gateway = stack.child("gateway", free_port(), AISLE_CACHE_TTL_S=str(TTL_S))
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.mark.case("C3")
def test_lists_that_age_together_are_made_anew_once_each_while_the_crowd_gets_the_old_ones(
    stack: FaultStack, short_lived: Child, held: Callable[[str], None]
) -> None:
    port = short_lived.plan.port
    assert port is not None
    hot = [{"user_id": f"c3-{number}", "num_items": 5} for number in range(HOT_LISTS)]
    asyncio.run(crowd(stack, port, hot))
    time.sleep(2 * TTL_S)
    before = ranked(stack)
    seen = asyncio.run(crowd(stack, port, hot * 10))
    made = ranked(stack) - before
    assert set(seen) <= {"live", "cache", "stale_cache"}
    assert made <= HOT_LISTS
    held(f"{10 * HOT_LISTS} at once for {HOT_LISTS} lists just aged: {made:.0f} rankings, {dict(seen)}")


@pytest.mark.case("C4")
def test_a_shopper_with_a_million_events_costs_no_more_than_one_with_a_hundred(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    for name, number in (("c4-many", MANY), ("c4-few", FEW)):
        fill_history(stack, name, number)
    took_ms = {name: [rebuild_ms(stack, name) for _ in range(30)] for name in ("c4-many", "c4-few")}
    medians = {name: float(np.median(found)) for name, found in took_ms.items()}
    # The state holds 512 events, and that of the other a hundred: reading and packing the rest is what may differ.
    assert medians["c4-many"] <= 3 * medians["c4-few"]
    held(f"a state out of {MANY:,} events in {medians['c4-many']:.1f} ms, out of {FEW} in {medians['c4-few']:.1f} ms")


def fill_history(stack: FaultStack, name: str, number: int) -> None:
    """Let a shopper have done one thing a second until now."""
    now = datetime.now(UTC)
    engine = make_engine(stack.database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            ensure_months(connection, "interactions", [now.date(), (now - timedelta(seconds=number)).date()])
            connection.execute(text(FILL), {"name": name, "number": number})
    finally:
        engine.dispose()


def rebuild_ms(stack: FaultStack, name: str) -> float:
    """Forget a shopper's online state and return how long the next read of it takes."""
    with sync_client(stack.cache.url) as client:
        client.delete(f"aisle:user-events:u:{name}")
    begun_s = time.perf_counter()
    answer = stack.post("/state", {"user_key": f"u:{name}", "as_of_ms": int(time.time() * 1000)}, "feature")
    assert answer.status == 200
    return (time.perf_counter() - begun_s) * 1000
