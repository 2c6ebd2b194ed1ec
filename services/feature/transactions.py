"""Run database work in a thread and a transaction, from the event loop.

Called by   the use cases of this service
Errors      whatever the work raises, after a rollback
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from shared.storage.relational.engine import Connection, Engine

Out = TypeVar("Out")


async def in_transaction(engine: Engine, work: Callable[[Connection], Out]) -> Out:
    """Return what `work` returns, committed."""

    def run() -> Out:
        with engine.begin() as connection:
            return work(connection)

    return await asyncio.to_thread(run)
