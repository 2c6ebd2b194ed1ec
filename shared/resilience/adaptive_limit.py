"""A bulkhead that finds its own size: as many at once as are answered in good time, and at once a no for the others.

Called by   services/gateway/composition.py, for the live lists of one process
Rule        a call that took longer than `target_ms` cuts the limit below the number that ran at its begin, if these
            were more than LEAST: fewer are no crowd, and something else was slow. Calls in good time raise the limit by
            one for each round of them, up to `most`. A call that failed teaches nothing: that is the breaker's business
Why         a fixed number fits one machine on one day. With 64 at once where 75 a second can be made, each takes
            0.8 s, all are late, and none is good: at three times the capacity the goodput fell to a quarter of it
Errors      SaturatedError, without a wait: whoever is one too many gets an answer from memory now
Source      additive increase, multiplicative decrease (Chiu and Jain, 1989); Netflix concurrency-limits, AIMDLimit
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.resilience.concurrency_limit import SaturatedError
from shared.resilience.deadline import MonotonicS

LEAST = 8.0
CUT = 0.9


class AdaptiveLimit:
    """Slots for calls in flight. Belongs to one event loop."""

    def __init__(self, most: int, target_ms: float, monotonic_s: MonotonicS = time.monotonic) -> None:
        self.limit = float(most)
        self.in_flight = 0
        self._most = float(most)
        self._target_s = target_ms / 1000
        self._monotonic_s = monotonic_s

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one slot for the length of the block."""
        if self.in_flight >= int(self.limit):
            raise SaturatedError(f"all {int(self.limit)} slots are taken")
        self.in_flight += 1
        beside, begun_s = self.in_flight, self._monotonic_s()
        try:
            yield
            self._learn(beside, self._monotonic_s() - begun_s)
        finally:
            self.in_flight -= 1

    def _learn(self, beside: int, took_s: float) -> None:
        if took_s > self._target_s:
            if beside > LEAST:
                self.limit = max(LEAST, min(self.limit, beside * CUT))
        elif 2 * beside > self.limit:
            # Only from those who came near the limit: the others say nothing about it.
            self.limit = min(self._most, self.limit + 1 / self.limit)
