"""Let equal requests that arrive together share one computation.

Called by   services/gateway/recommend.py
Rule        the computation is a task of its own: a caller that leaves does not end it for the others; each caller waits
            no longer than its own deadline
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from shared.resilience.deadline import Deadline

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Computations under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, make: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        """Return what the computation for `key` returns, starting it if need be; TimeoutError at the deadline."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(_completed(make))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._land(key, done))
        async with asyncio.timeout(deadline.remaining_ms() / 1000):
            return await asyncio.shield(flight)

    def _land(self, key: str, done: "asyncio.Task[T]") -> None:
        del self._flights[key]
        # Read the outcome even if every caller has left, or asyncio reports it as never retrieved.
        if not done.cancelled():
            done.exception()


async def _completed(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
