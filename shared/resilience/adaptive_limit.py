"""A bulkhead that finds its own size: as many at once as are answered in good time, and at once a no for the others.

Called by   services/gateway/recommend.py, around the way to a live list
Rule        a call that took longer than `target_ms` cuts the limit below the number that ran at its begin, if these
            were more than LEAST: fewer are no crowd, and something else was slow. In a crowd, when more than CROWD of
            all are refused, one that ends while the event loop is behind cuts the limit too: each call in flight makes
            the turns longer, and who is refused waits for them. Others raise the limit by one for each round of them,
            up to `most`. A call that failed teaches nothing: that is the breaker's business
Equal       calls with the same key are one: they wait for the same list
Why         a fixed number fits one machine on one day. With 64 at once where 75 a second can be made, each takes
            0.8 s, all are late, and none is good: at three times the capacity the goodput fell to a quarter of it
Errors      SaturatedError, without a wait: whoever is one too many gets an answer from memory now
Source      additive increase, multiplicative decrease (Chiu and Jain, 1989); Netflix concurrency-limits, AIMDLimit
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.resilience.concurrency_limit import SaturatedError
from shared.resilience.deadline import MonotonicS

LEAST = 8.0
CUT = 0.9
CROWD = 0.2
NEWEST_WEIGHT = 0.02
"""of one arrival in the share of refused ones: some 50 count"""


class AdaptiveLimit:
    """Slots for calls in flight. Belongs to one event loop."""

    def __init__(
        self,
        most: int,
        target_ms: float,
        monotonic_s: MonotonicS = time.monotonic,
        is_behind: Callable[[], bool] = lambda: False,
    ) -> None:
        self.limit = float(most)
        self._most = float(most)
        self._target_s = target_ms / 1000
        self._monotonic_s = monotonic_s
        self._is_behind = is_behind
        self._holders: Counter[str] = Counter()
        self._refused_share = 0.0

    @property
    def in_flight(self) -> int:
        """Return how many slots are held."""
        return len(self._holders)

    @property
    def is_full(self) -> bool:
        """Return whether the next one would be refused."""
        return self.in_flight >= int(self.limit)

    def count_refused(self) -> None:
        """Know of somebody who was refused, here or before it came to a call."""
        self._refused_share += NEWEST_WEIGHT * (1 - self._refused_share)

    @contextmanager
    def slot(self, key: str) -> Iterator[None]:
        """Hold one slot for the length of the block, or share that of an equal call."""
        if self.is_full and key not in self._holders:
            self.count_refused()
            raise SaturatedError(f"all {int(self.limit)} slots are taken")
        self._refused_share *= 1 - NEWEST_WEIGHT
        self._holders[key] += 1
        beside, begun_s = self.in_flight, self._monotonic_s()
        try:
            yield
            self._learn(beside, self._monotonic_s() - begun_s)
        finally:
            self._holders[key] -= 1
            if not self._holders[key]:
                del self._holders[key]

    def _learn(self, beside: int, took_s: float) -> None:
        if took_s > self._target_s:
            if beside > LEAST:
                self.limit = max(LEAST, min(self.limit, beside * CUT))
        elif self._refused_share > CROWD and self._is_behind():
            self.limit = max(LEAST, self.limit * CUT)
        elif 2 * beside > self.limit:
            # Only from those who came near the limit: the others say nothing about it.
            self.limit = min(self._most, self.limit + 1 / self.limit)
