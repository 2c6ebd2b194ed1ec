import asyncio

import pytest

from shared.resilience.concurrency_limit import ConcurrencyLimit, SaturatedError


async def hold(limit: ConcurrencyLimit, until: asyncio.Event) -> None:
    async with limit.slot():
        await until.wait()


async def test_one_call_too_many_waits_briefly_and_is_refused() -> None:
    limit, until = ConcurrencyLimit(2, wait_ms=5), asyncio.Event()
    holders = [asyncio.create_task(hold(limit, until)) for _ in range(2)]
    await asyncio.sleep(0)
    assert limit.in_flight == 2
    with pytest.raises(SaturatedError):
        async with limit.slot():
            raise AssertionError("no slot was free")
    until.set()
    await asyncio.gather(*holders)
    async with limit.slot():
        assert limit.in_flight == 1


async def test_a_slot_that_comes_free_in_time_is_taken() -> None:
    limit, until = ConcurrencyLimit(1, wait_ms=1000), asyncio.Event()
    holder = asyncio.create_task(hold(limit, until))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.01, until.set)
    async with limit.slot():
        assert limit.in_flight == 1
    await holder


async def test_a_call_that_fails_or_is_cancelled_gives_its_slot_back() -> None:
    limit, until = ConcurrencyLimit(1, wait_ms=5), asyncio.Event()
    with pytest.raises(KeyError):
        async with limit.slot():
            raise KeyError
    holder = asyncio.create_task(hold(limit, until))
    await asyncio.sleep(0)
    holder.cancel()
    await asyncio.gather(holder, return_exceptions=True)
    async with limit.slot():
        assert limit.in_flight == 1
