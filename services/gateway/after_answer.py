"""Do what need not delay an answer: write impressions and cached lists after it, in batches, within bounds.

Called by   services/gateway/recommend.py (put), main.py (run, close)
Rule        memory is bounded: when the store is slow or away, what does not fit is dropped and counted
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from services.gateway.metrics import GatewayMetrics
from shared.storage.redis.clients import STORE_ERRORS

BATCH_SIZE = 200
FLUSH_S = 2.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


class AfterAnswer(Generic[T]):
    """A bounded queue and the one task that empties it."""

    def __init__(
        self,
        kind: str,
        deliver: Callable[[Sequence[T]], Awaitable[None]],
        metrics: GatewayMetrics,
        capacity: int = 5000,
        pause_s: float = 0.0,
    ) -> None:
        """With a pause between batches, what comes meanwhile shares one round trip and one wake-up of its readers."""
        self._kind = kind
        self._deliver = deliver
        self._metrics = metrics
        self._pause_s = pause_s
        self._queue: asyncio.Queue[T] = asyncio.Queue(capacity)
        metrics.watch_queue(kind, self._queue.qsize)

    def put(self, entry: T) -> None:
        """Leave something to be written soon; never waits."""
        try:
            self._queue.put_nowait(entry)
        except asyncio.QueueFull:
            self._metrics.count_dropped(self._kind, 1)

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._write_batch([await self._queue.get()])
            await asyncio.sleep(self._pause_s)

    async def flush(self) -> None:
        """Write what is left, before the process ends; give up after FLUSH_S."""
        try:
            async with asyncio.timeout(FLUSH_S):
                while not self._queue.empty():
                    await self._write_batch([self._queue.get_nowait()])
        except TimeoutError:
            self._metrics.count_dropped(self._kind, self._queue.qsize())

    async def _write_batch(self, batch: list[T]) -> None:
        while len(batch) < BATCH_SIZE and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        try:
            await self._deliver(batch)
        except asyncio.CancelledError:
            # The process is stopping in mid write: flush() tries these once more.
            for entry in batch:
                self.put(entry)
            raise
        except STORE_ERRORS as error:
            self._metrics.count_dropped(self._kind, len(batch))
            log.warning("after_answer_lost", kind=self._kind, number=len(batch), reason=type(error).__name__)
