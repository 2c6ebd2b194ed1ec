"""The job that erases again whom a restored backup brought back, without being told of the restore.

Called by   main.py (`run`, beside the answers)
Why         a backup from before an erasure holds neither the tombstone nor the hole it left; the stream server's copy
            of the tombstones (shared/storage/redis/tombstones.py) does. A backup from after it holds both
Spares      what is newer than the erasure: a shopper who came back is a new beginning
Errors      a store that is away is tried again in the next round
"""

import asyncio

import structlog

from services.feature.stores import STORES_DOWN
from services.feature.transactions import in_transaction
from services.feature.users import Accounts
from shared.contracts.times import from_epoch_ms
from shared.service.clock import Clock
from shared.storage.redis.tombstones import Tombstones
from shared.storage.relational.engine import Engine
from shared.storage.relational.erasure import forgotten_erasures

LOOK_EVERY_S = 30.0

log = structlog.get_logger()


class ErasureKeeper:
    """The job of one process; several may run, since an erasure may be repeated."""

    def __init__(self, engine: Engine, tombstones: Tombstones, accounts: Accounts, clock: Clock) -> None:
        self._engine = engine
        self._tombstones = tombstones
        self._accounts = accounts
        self._clock = clock

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.keep()
            except STORES_DOWN as error:
                log.warning("erasures_not_compared", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def keep(self) -> None:
        """Erase again whoever is erased here and not in Postgres."""
        known = {key: from_epoch_ms(at_ms) for key, at_ms in (await self._tombstones.all(self._clock.now_ms())).items()}
        missing = await in_transaction(self._engine, lambda connection: forgotten_erasures(connection, known))
        for user_key in missing:
            await self._accounts.erase_restored(user_key, known[user_key])
            log.warning("erased_after_restore")
