"""F16: three times what the shop can answer; it goes on answering nearly as much as it can, and says no at once."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks.overload.surge import LEAST_IN_TIME, LEAST_SHARE, NORMAL_S, SHED_MS, SURGE, Target, surge
from deploy.local.ports import LOOPBACK
from tests.faults.stack import DEADLINE_MS, FaultStack

SECONDS = 40
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
def straight(stack: FaultStack) -> Iterator[str]:
    """Return the URL of a gateway that, with its feature service, has no proxy to any peer."""
    feature = stack.straight("feature")
    feature.start()
    gateway = stack.straight("gateway", AISLE_FEATURE_URL=f"http://{LOOPBACK}:{feature.plan.port}")
    gateway.start()
    yield f"http://{LOOPBACK}:{gateway.plan.port}"
    gateway.stop()
    feature.stop()


@pytest.mark.case("F16")
def test_three_times_the_capacity_leaves_most_of_it_and_the_rest_is_answered_at_once(
    stack: FaultStack, straight: str, held: Callable[[str], None]
) -> None:
    target = Target(f"{straight}/recommend", anyone, stack.credentials, DEADLINE_MS)
    found = asyncio.run(surge(target, SECONDS))
    rates = f"knee {found.knee:.0f}/s, capacity {found.capacity_per_s:.0f}/s, goodput {found.goodput_per_s:.0f}/s"
    share = f"{found.shed_in_time} of {found.shed} shed within {SHED_MS:.0f} ms as a bystander sees it"
    times = f"{share}, p50 {found.shed_p50_ms} ms, normal after {found.normal_after_s:.0f} s"
    held(f"{rates} at {SURGE} x the knee ({found.share:.0%}), {found.answers}, {times}")
    assert not set(found.answers) - OTHER_ANSWERS - {"good"}
    assert found.share >= LEAST_SHARE
    assert found.shed
    assert found.shed_share >= LEAST_IN_TIME
    assert found.normal_after_s < NORMAL_S
