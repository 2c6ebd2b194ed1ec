"""A point in time after which an answer is worth nothing, and how much of it is left.

Called by   services/gateway (made from the request), shared/service/request_context.py (X-Aisle-Deadline-Ms)
Units       milliseconds outside, the monotonic clock's seconds inside
Source      "Timeouts, retries, and backoff with jitter", Amazon Builders' Library
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

MonotonicS = Callable[[], float]


@dataclass(frozen=True)
class Deadline:
    """When to give up; every call made on the way takes min(its own timeout, what is left)."""

    expires_s: float
    monotonic_s: MonotonicS = time.monotonic

    @classmethod
    def after(cls, timeout_ms: float, monotonic_s: MonotonicS = time.monotonic) -> "Deadline":
        """Return the deadline `timeout_ms` from now."""
        return cls(monotonic_s() + timeout_ms / 1000, monotonic_s)

    def remaining_ms(self) -> float:
        """Return what is left, never below zero."""
        return max(0.0, (self.expires_s - self.monotonic_s()) * 1000)

    def cap_ms(self, timeout_ms: float) -> float:
        """Return a call's own timeout, or what is left if that is less."""
        return min(timeout_ms, self.remaining_ms())

    @property
    def expired(self) -> bool:
        """Return whether nothing is left."""
        return self.monotonic_s() >= self.expires_s
