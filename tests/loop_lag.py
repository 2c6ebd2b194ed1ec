"""How long an event loop was away: the longest time between two moments at which it could have turned to anybody.

Called by   tests/integration/test_loop_lag.py
Measured    a task that asks for the loop every TICK_MS; what it waits longer, something held the loop: a computation,
            or a call that blocks its thread
Fair        time in which a thread of this process could have run and the machine ran others instead is taken off: of
            the loop's thread, and of any that may have held the interpreter meanwhile. Where the kernel does not tell
            it, nothing is taken off
"""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

TICK_MS = 5.0
THREADS = Path("/proc/self/task")
"""each with schedstat: nanoseconds on a core, nanoseconds ready and waiting for one, number of turns"""


class LoopLag:
    """Watches the loop of the `async with` block it is used in."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self.ticks = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task  # a probe that failed says so

    async def _watch(self) -> None:
        while True:
            begun_s, waited_before = time.monotonic(), _waited_ns()
            await asyncio.sleep(TICK_MS / 1000)
            away_ms = (time.monotonic() - begun_s) * 1000 - TICK_MS
            waited_ns = sum(ns - waited_before.get(thread, 0) for thread, ns in _waited_ns().items())
            self.longest_ms = max(self.longest_ms, away_ms - waited_ns / 1e6)
            self.ticks += 1


def _waited_ns() -> dict[str, int]:
    """Return how long each thread of this process has been ready and waited for a core."""
    waited = {}
    for thread in THREADS.glob("*/schedstat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            waited[thread.parent.name] = int(thread.read_text().split()[1])
    return waited
