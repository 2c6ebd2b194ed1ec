"""The one way to ask what time it is, so that a test can decide.

Called by   every use case that needs the time, through its constructor; `SystemClock` is made in main.py only
"""

import time
from typing import Protocol

from shared.contracts.times import from_epoch_ms


class Clock(Protocol):
    """Wall clock and monotonic clock."""

    def now_ms(self) -> int:
        """Return epoch milliseconds."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds of a clock that never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Return epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()


def iso_of(at_ms: int) -> str:
    """Return epoch milliseconds as ISO 8601 with a zone, to the millisecond."""
    return from_epoch_ms(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
