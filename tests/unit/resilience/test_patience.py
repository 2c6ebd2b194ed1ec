"""Late is what has not come when the time is up, not what this process was too busy to go on with."""

import asyncio
import time

import pytest

from shared.resilience.patience import in_time

TIMEOUT_MS = 20.0


async def test_a_call_of_some_steps_in_a_loop_that_is_busy_with_others_is_not_late() -> None:
    async def steps() -> str:
        for _ in range(3):
            await asyncio.sleep(0.001)
        return "answer"

    waiting = asyncio.create_task(in_time(steps(), TIMEOUT_MS))
    while not waiting.done():
        time.sleep(2 * TIMEOUT_MS / 1000)  # every turn of the loop takes longer than the call may
        await asyncio.sleep(0)
    assert await waiting == "answer"


async def test_an_answer_that_does_not_come_is_given_up_and_its_call_ended() -> None:
    ended: list[str] = []

    async def silent() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("ended")

    begun_s = time.monotonic()
    with pytest.raises(TimeoutError):
        await in_time(silent(), TIMEOUT_MS)
    assert time.monotonic() - begun_s < 1
    await asyncio.sleep(0)
    assert ended == ["ended"]


async def test_a_call_is_ended_when_its_caller_leaves() -> None:
    ended = asyncio.Event()

    async def silent() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()

    caller = asyncio.create_task(in_time(silent(), 10_000))
    await asyncio.sleep(0.01)
    caller.cancel()
    await asyncio.wait_for(ended.wait(), 1)


async def test_what_the_call_raises_is_raised() -> None:
    async def broken() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await in_time(broken(), TIMEOUT_MS)
