"""Read a shopper's newest events and profile from Postgres, a few shoppers at a time.

Called by   user_state.py, when the online state is missing or the cache server is away
Bulkhead    READS at once, in threads of their own; the next waits WAIT_MS and is then refused, so that neither a slow
            database nor a large import can collect the requests of this process
Errors      SaturatedError; STORAGE_DOWN_ERRORS
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shared.contracts.internal import Profile
from shared.resilience.concurrency_limit import ConcurrencyLimit
from shared.storage.history import HistoryEvent
from shared.storage.redis.user_state import MAX_EVENTS
from shared.storage.relational.engine import Engine
from shared.storage.relational.interactions import newest_events
from shared.storage.relational.users import profile_of

READS = 4
WAIT_MS = 30.0


@dataclass(frozen=True)
class ShopperHistory:
    """What Postgres holds of a shopper, as far as features look."""

    events: list[HistoryEvent]
    """oldest first, MAX_EVENTS at most"""
    profile: Profile


class ShopperHistories:
    """Reads from one database. The engine needs READS connections to spare."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._limit = ConcurrencyLimit(READS, WAIT_MS)
        self._threads = ThreadPoolExecutor(READS, "shopper-history")

    async def read(self, user_key: str) -> ShopperHistory:
        """Return the history; of somebody unknown, an empty one."""
        async with self._limit.slot():
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, user_key)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def _read(self, user_key: str) -> ShopperHistory:
        with self._engine.connect() as connection:
            return ShopperHistory(newest_events(connection, user_key, MAX_EVENTS), profile_of(connection, user_key))
