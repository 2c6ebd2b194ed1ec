"""F16: three times what the shop can answer; it goes on answering nearly as much as it can, and says no at once."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.overload.surge import NORMAL_S, SURGE, Target, surge
from deploy.local.ports import LOOPBACK
from tests.faults.figures import Figures
from tests.faults.stack import DEADLINE_MS, FaultStack

SECONDS = 20
LEAST_SHARE = 0.8
SHED_MS = 20.0
OTHER_ANSWERS = {
    "overload",
    "ranking_timeout",
    "ranking_unavailable",
    "feature_unavailable",
    "status_503",
    "status_429",
}
_numbers = itertools.count()


def anyone(_number: int) -> dict[str, Any]:
    """Return a request that no other of this run equals."""
    number = next(_numbers)
    return {"user_id": f"shopper-{number % 200}", "num_items": 10, "context": {"query": f"f16-{number}"}}


@pytest.fixture
def straight(stack: FaultStack) -> Iterator[tuple[str, int]]:
    """Return URL and port of a gateway that, with its feature service, has no proxy to any peer."""
    feature = stack.straight("feature")
    feature.start()
    gateway = stack.straight("gateway", AISLE_FEATURE_URL=f"http://{LOOPBACK}:{feature.plan.port}")
    gateway.start()
    assert gateway.plan.port is not None
    yield f"http://{LOOPBACK}:{gateway.plan.port}", gateway.plan.port
    gateway.stop()
    feature.stop()


@pytest.mark.case("F16")
def test_three_times_the_capacity_leaves_most_of_it_and_the_rest_is_answered_at_once(
    stack: FaultStack, straight: tuple[str, int], held: Callable[[str], None]
) -> None:
    url, port = straight
    target = Target(f"{url}/recommend", anyone, stack.credentials, DEADLINE_MS)
    before = stack.figures(port=port)
    found = asyncio.run(surge(target, SECONDS))
    shed, at_once = (
        since(before, stack.figures(port=port), f"recommend_seconds_{part}") for part in ("count", "bucket")
    )
    rates = f"knee {found.knee:.0f}/s, capacity {found.capacity_per_s:.0f}/s, goodput {found.goodput_per_s:.0f}/s"
    share = f"{at_once:.0f} of {shed:.0f} shed within {SHED_MS:.0f} ms of their arrival"
    times = f"{share}, p50 {found.shed_p50_ms} ms at the client, normal after {found.normal_after_s:.0f} s"
    held(f"{rates} at {SURGE} x the knee ({found.share:.0%}), {found.answers}, {times}")
    assert not set(found.answers) - OTHER_ANSWERS - {"good"}
    assert found.share >= LEAST_SHARE
    assert at_once >= 0.99 * shed, f"{at_once:.0f} of {shed:.0f} within {SHED_MS} ms"
    assert found.normal_after_s < NORMAL_S


def since(before: Figures, now: Figures, name: str) -> float:
    """Return how many lists out of memory the gateway has counted since; of buckets, those within SHED_MS."""
    labels = {"served_from": "popular"} | ({"le": str(SHED_MS / 1000)} if name.endswith("bucket") else {})
    return now.of(name, **labels) - before.of(name, **labels)
