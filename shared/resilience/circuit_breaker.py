"""A switch that stops calling a dependency which fails, and lets one call through now and then to see if it is back.

Called by   services/gateway/dependency.py, one breaker for each dependency
States      closed: all calls pass. Half of the last 20 failed → open: no call passes for 2 s → half open: one probe
            passes; its success closes the breaker, its failure opens it again
Source      M. Nygard, "Release It!"; Netflix Hystrix
"""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from shared.resilience.deadline import MonotonicS


class BreakerState(StrEnum):
    """What the breaker does with the next call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Counts outcomes; every `allow()` that returned True is followed by exactly one succeeded, failed or abandoned."""

    def __init__(self, window: int = 20, open_s: float = 2.0, monotonic_s: MonotonicS = time.monotonic) -> None:
        self._failures: deque[bool] = deque(maxlen=window)
        self._trips_at = window / 2
        self._open_s = open_s
        self._monotonic_s = monotonic_s
        self._opened_s: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """Return the state now."""
        if self._opened_s is None:
            return BreakerState.CLOSED
        waited = self._monotonic_s() - self._opened_s >= self._open_s
        return BreakerState.HALF_OPEN if waited else BreakerState.OPEN

    def allow(self) -> bool:
        """Return whether a call may be made now; in the half-open state only one at a time."""
        state = self.state
        if state is BreakerState.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        return state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """Count a call that was answered."""
        self._failures.append(False)
        if self._opened_s is not None and self._probing:
            self._close()

    def failed(self) -> None:
        """Count a call that was not answered, or too late."""
        self._failures.append(True)
        if self._probing or (self._opened_s is None and sum(self._failures) >= self._trips_at):
            self._opened_s = self._monotonic_s()
            self._probing = False

    def abandoned(self) -> None:
        """Forget a call whose outcome says nothing about the dependency: the caller went away."""
        self._probing = False

    @contextmanager
    def attempt(self, *failures: type[Exception]) -> Iterator[None]:
        """Count the block as a success, as a failure if it raises one of `failures`, else not at all."""
        try:
            yield
        except failures:
            self.failed()
            raise
        except BaseException:
            self.abandoned()
            raise
        self.succeeded()

    def _close(self) -> None:
        self._opened_s = None
        self._probing = False
        self._failures.clear()
