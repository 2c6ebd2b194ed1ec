"""A bulkhead: at most so many calls at once, the next waits a few milliseconds and then goes without.

Called by   services/gateway/dependency.py (one for each dependency), services/ranking (work that fits in its budget)
Errors      SaturatedError, when no slot came free within the wait
Source      Netflix Hystrix, "bounded pool for each dependency"
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

DEFAULT_WAIT_MS = 10.0


class SaturatedError(Exception):
    """All slots are taken; the caller should answer without this call."""


class ConcurrencyLimit:
    """Slots for calls in flight. Belongs to one event loop."""

    def __init__(self, slots: int, wait_ms: float = DEFAULT_WAIT_MS) -> None:
        self.slots = slots
        self.in_flight = 0
        self._wait_s = wait_ms / 1000
        self._free = asyncio.Semaphore(slots)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot for the length of the block."""
        # The common case costs no timer.
        if self._free.locked():
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._free.acquire()
            except TimeoutError:
                raise SaturatedError(f"all {self.slots} slots are taken") from None
        else:
            await self._free.acquire()
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self._free.release()
