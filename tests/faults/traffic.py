"""Requests that keep coming while a test hurts the shop: open loop, in a thread of their own.

Called by   tests/faults/test_*.py
In          how many a second, for how long, and what each asks for
Out         Measured of benchmarks/serving/load.py: what the clients saw
"""

import asyncio
import itertools
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from benchmarks.serving.load import Heard, Measured, open_loop
from deploy.local.ports import LOOPBACK
from tests.faults.stack import DEADLINE_MS, FaultStack

RATE = 25
SHOPPERS = 20
LATE_MS = DEADLINE_MS + 20
_runs = itertools.count()


def personal(number: int, run: int) -> dict[str, Any]:
    """Return a request that no other equals, so that no cached list can answer it."""
    return {"user_id": f"shopper-{number % SHOPPERS}", "num_items": 5, "context": {"query": f"{run}-{number}"}}


def repeated(number: int) -> dict[str, Any]:
    """Return one of a few requests, which a cache can answer."""
    return {"user_id": f"shopper-{number % SHOPPERS}", "num_items": 5}


class Traffic:
    """A context: requests begin with the block, and its end waits for the last answer."""

    def __init__(
        self,
        stack: FaultStack,
        seconds: float,
        body_of: Callable[[int], Any] | None = None,
        rate: float = RATE,
        heard: Heard | None = None,
        port: int | None = None,
    ) -> None:
        run = next(_runs)
        self._arguments = (
            f"http://{LOOPBACK}:{port or stack.ports['gateway']}/recommend",
            rate,
            seconds,
            body_of or (lambda number: personal(number, run)),
            stack.credentials,
            heard,
        )
        self._measured: Measured | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Traffic":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the end."""
        self._thread.join()

    def _run(self) -> None:
        self._measured = asyncio.run(open_loop(*self._arguments))

    @property
    def seen(self) -> Measured:
        """Return what the clients saw."""
        assert self._measured is not None, "the traffic broke"
        return self._measured

    def in_time(self) -> str:
        """Assert that every request got a 200 with a list before the deadline; return that in words."""
        seen = self.seen
        assert seen.errors == {}, seen.errors
        slowest_ms = max(seen.latency_ms)
        assert slowest_ms <= LATE_MS, f"{sum(ms > LATE_MS for ms in seen.latency_ms)} late, {slowest_ms:.0f} ms"
        return f"{len(seen.latency_ms)} asked, {len(seen.latency_ms)} lists, slowest {slowest_ms:.0f} ms"
