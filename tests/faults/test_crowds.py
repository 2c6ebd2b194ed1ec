"""C2 and C3: everybody wants the same at once, and all lists age together."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_port
from tests.faults.child import Child
from tests.faults.stack import FaultStack

CROWD = 1000
HOT_LISTS = 20
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


@pytest.fixture
def straight(stack: FaultStack) -> Iterator[int]:
    """Return the port of a gateway that a crowd can ask without making its network slow."""
    gateway = stack.straight("gateway")
    gateway.start()
    assert gateway.plan.port is not None
    yield gateway.plan.port
    gateway.stop()


@pytest.mark.case("C2")
@pytest.mark.parametrize("shopper", ["known", "new"])
def test_a_thousand_requests_of_one_shopper_at_once_cost_one_ranking(
    stack: FaultStack, straight: int, held: Callable[[str], None], shopper: str
) -> None:
    if shopper == "known":
        stack.recommend(user_id="c2-known", context={"query": "so that the shopper is known"})
    before = ranked(stack)
    seen = asyncio.run(crowd(stack, straight, [{"user_id": f"c2-{shopper}", "num_items": 5}] * CROWD))
    made = ranked(stack) - before
    assert set(seen) <= {"live", "cache", "503"}
    assert seen["live"] + seen["cache"] > 0
    assert made == 1
    held(f"{CROWD} at once of a {shopper} shopper: {made:.0f} ranking, {dict(seen)}")


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
    for body in hot * 2:  # the first list of a shopper begins their state, and so is not kept
        stack.recommend(**body)
    time.sleep(2 * TTL_S)
    before = ranked(stack)
    seen = asyncio.run(crowd(stack, port, hot * 10))
    made = ranked(stack) - before
    assert set(seen) <= {"live", "cache", "stale_cache"}
    assert made <= HOT_LISTS
    held(f"{10 * HOT_LISTS} at once for {HOT_LISTS} lists just aged: {made:.0f} rankings, {dict(seen)}")
