"""One computation at a time, in order of arrival; a request that would be late is told so before any work is done.

Called by   services/ranking/routes.py around every computation
In          the request's deadline
Errors      WouldBeLateError: at once when the queue alone takes too long, or when the turn comes too late
Why         ranking is a few milliseconds of computing in the event loop, so more than one at a time only delays all;
            between two of them the loop reads its sockets, so a deadline is counted from the arrival
Source      "Using load shedding to avoid overload", Amazon Builders' Library: do not begin what nobody waits for
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.ranking.metrics import RankingMetrics
from shared.resilience.deadline import Deadline, MonotonicS

FIRST_GUESS_MS = 5.0
NEWEST_WEIGHT = 0.1
DECAY_WHEN_REFUSED = 0.9
"""a refusal measures nothing: without this, one slow computation could shut the door for good"""


class WouldBeLateError(Exception):
    """The answer would come after its deadline."""


class Admission:
    """The queue in front of the computation; belongs to one event loop."""

    def __init__(self, metrics: RankingMetrics, monotonic_s: MonotonicS = time.monotonic) -> None:
        self._metrics, self._monotonic_s = metrics, monotonic_s
        self._turn = asyncio.Lock()
        self._queued = 0
        self.expected_ms = FIRST_GUESS_MS
        """moving mean of what one computation takes"""
        metrics.queued.set_function(lambda: self._queued)

    @asynccontextmanager
    async def turn(self, deadline: Deadline) -> AsyncIterator[None]:
        """Wait for one's turn and hold it for the length of the block."""
        self._refuse_late(deadline, self._queued + 1, "queued")
        self._queued += 1
        try:
            # Requests that arrived together all come this far, with their deadlines counted, before the first computes.
            await asyncio.sleep(0)
            async with self._turn:
                self._refuse_late(deadline, 1, "turn")
                begun_s = self._monotonic_s()
                yield
                took_ms = (self._monotonic_s() - begun_s) * 1000
                self.expected_ms += NEWEST_WEIGHT * (took_ms - self.expected_ms)
                if self._queued > 1:
                    # A computation awaits nothing: all that are ready would follow it before the loop turns once.
                    await asyncio.sleep(0)
        finally:
            self._queued -= 1

    def _refuse_late(self, deadline: Deadline, computations: int, when: str) -> None:
        if deadline.remaining_ms() < computations * self.expected_ms:
            self.expected_ms *= DECAY_WHEN_REFUSED
            self._metrics.refused.labels(when).inc()
            raise WouldBeLateError
