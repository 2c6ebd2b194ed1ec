"""The limit falls to what is answered in good time, and rises again when there is room."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared.resilience.adaptive_limit import LEAST, AdaptiveLimit
from shared.resilience.concurrency_limit import SaturatedError

TARGET_MS = 100


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def together(limit: AdaptiveLimit, seconds: Seconds, calls: int, each_ms: float) -> int:
    """Run calls at once that all take so long; return how many found a slot."""
    async with AsyncExitStack() as running:
        for _ in range(calls):
            try:
                await running.enter_async_context(limit.slot())
            except SaturatedError:
                break
        begun = limit.in_flight
        seconds.now += each_ms / 1000
    return begun


async def test_calls_that_are_late_because_there_are_many_leave_fewer_slots_and_good_time_brings_them_back() -> None:
    seconds = Seconds()
    limit = AdaptiveLimit(64, TARGET_MS, seconds)
    assert await together(limit, seconds, 100, each_ms=90) == 64
    found = [await together(limit, seconds, 100, each_ms=800) for _ in range(20)]
    assert found[0] == 64
    assert found[-1] == LEAST
    back = [await together(limit, seconds, 100, each_ms=20) for _ in range(200)]
    assert back[-1] == 64


async def test_it_settles_where_calls_are_in_good_time() -> None:
    seconds = Seconds()
    limit = AdaptiveLimit(64, TARGET_MS, seconds)
    # A machine that makes 150 a second: n at once take n x 6.7 ms.
    found = 64
    for _ in range(100):
        found = await together(limit, seconds, 100, each_ms=found * 6.7)
    assert LEAST <= found <= 16


async def test_a_call_too_many_is_refused_without_a_wait() -> None:
    limit = AdaptiveLimit(1, TARGET_MS)
    async with limit.slot():
        with pytest.raises(SaturatedError):
            await asyncio.wait_for(limit.slot().__aenter__(), 0.001)
    async with limit.slot():
        assert limit.in_flight == 1


async def test_a_slow_call_among_few_takes_no_slot_away() -> None:
    seconds = Seconds()
    limit = AdaptiveLimit(64, TARGET_MS, seconds)
    await together(limit, seconds, int(LEAST), each_ms=5000)
    assert await together(limit, seconds, 100, each_ms=20) == 64
