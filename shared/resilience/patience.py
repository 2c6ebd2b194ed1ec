"""Wait for an answer as long as allowed, without taking the time this process spent elsewhere for the other's.

Called by   services/gateway/list_store.py, services/feature/user_state.py, around a store's answer within milliseconds
Rule        the time passes in slices, each begun when the loop comes round: a loop that was busy with other requests
            for longer than all of them has used up one, and in the next the call takes its next step
Why         a call to a store takes some turns of the loop. While a turn takes 50 ms, a timer of 15 ms fires before the
            answer of 1 ms is read. Taken for the store's failure it opens the breaker, and all that the store held is
            made anew just when there is no time
Errors      TimeoutError; what the call itself raises
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

SLICES = 5
"""turns of the loop that redis-py needs: a connection from the pool, its check, a task that sends, the reply"""

T = TypeVar("T")


async def in_time(call: Awaitable[T], timeout_ms: float) -> T:
    """Return what the call returns; end it when it takes too long, or when nobody waits for it any more."""
    async with asyncio.timeout(None) as limit:
        slices = _Slices(limit, timeout_ms / SLICES / 1000)
        try:
            return await call
        finally:
            slices.end()


class _Slices:
    """The time of one call, slice after slice; when the last is over, its limit is reached."""

    def __init__(self, limit: asyncio.Timeout, slice_s: float) -> None:
        self._limit, self._slice_s, self._left = limit, slice_s, SLICES
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(slice_s, self._over)

    def _over(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._slice_s, self._over)
        else:
            self._limit.reschedule(self._loop.time())

    def end(self) -> None:
        """Count no further."""
        self._timer.cancel()
