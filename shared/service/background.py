"""Run endless jobs beside the answers: started and ended with the service, never failing in silence.

Called by   main.py of the services, in their lifespan
Errors      a job that ends by an exception is logged with its stack and started again after a pause
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import structlog

RESTART_S = 1.0
CANCEL_AGAIN_S = 0.2

Job = Callable[[], Awaitable[None]]

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(**jobs: Job) -> AsyncIterator[None]:
    """Run jobs by name for the length of the block."""
    tasks = [asyncio.create_task(_forever(name, job), name=name) for name, job in jobs.items()]
    try:
        yield
    finally:
        await _end(tasks)


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: asyncio.wait_for, which redis-py uses, can swallow a cancellation (Python 3.11)."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)


async def _forever(name: str, job: Job) -> None:
    while True:
        try:
            await job()
        except Exception:
            # The edge of a job: a bug must not end it for the life of the process.
            log.exception("job_failed", job=name)
        await asyncio.sleep(RESTART_S)
