"""A loop is behind while it does more than it comes round to, and for a moment afterwards."""

import asyncio
import time
from contextlib import suppress

from shared.resilience.loop_beat import MOST_LATE_S, LoopBeat


def compute(seconds: float) -> None:
    """Keep the loop from turning."""
    until_s = time.thread_time() + seconds
    while time.thread_time() < until_s:
        pass


async def test_a_loop_that_something_keeps_is_behind_until_it_has_turned_in_time_for_a_while() -> None:
    beat = LoopBeat()
    beating = asyncio.create_task(beat.run())
    await asyncio.sleep(0.001)
    compute(5 * MOST_LATE_S)
    await asyncio.sleep(0.001)
    was_behind = beat.is_behind
    async with asyncio.timeout(10):
        while beat.is_behind:
            await asyncio.sleep(0.01)
    beating.cancel()
    with suppress(asyncio.CancelledError):
        await beating
    assert was_behind


def test_the_longest_delay_of_the_last_beats_counts_and_fades() -> None:
    beat = LoopBeat()
    for late_s in (0.0, 2 * MOST_LATE_S, 0.0):
        beat.take(late_s)
    assert beat.is_behind
    for _ in range(10):
        beat.take(0.0)
    assert not beat.is_behind
