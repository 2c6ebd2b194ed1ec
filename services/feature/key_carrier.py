"""The job that carries API keys from Postgres to the gateways, should the `aisle keys` command not have.

Called by   main.py (`run`, beside the answers)
Why         the command writes both places itself; but the stream server may have been away, or replaced by an empty one
            since, and a key that expires leaves the list without a command
Delay       CARRY_EVERY_S here and the gateway's own refresh after it: together far below the 60 s of a revocation
Errors      a store that is away is tried again in the next round
"""

import asyncio
from typing import Protocol

import structlog

from services.feature.stores import STORES_DOWN
from services.feature.transactions import in_transaction
from shared.contracts.access import ApiKeys
from shared.storage.relational.api_keys import usable_keys
from shared.storage.relational.engine import Engine

CARRY_EVERY_S = 10.0

log = structlog.get_logger()


class KeysPlace(Protocol):
    """shared.storage.redis.api_keys.KeyStore."""

    async def put(self, keys: ApiKeys) -> None:
        """Replace the keys."""
        ...

    async def get(self) -> ApiKeys | None:
        """Return the keys."""
        ...


class KeyCarrier:
    """The job of one process; several may run, all write the same."""

    def __init__(self, engine: Engine, place: KeysPlace) -> None:
        self._engine = engine
        self._place = place

    async def run(self) -> None:
        """Carry for ever."""
        while True:
            try:
                await self.carry()
            except STORES_DOWN as error:
                log.warning("keys_not_carried", error=type(error).__name__)
            await asyncio.sleep(CARRY_EVERY_S)

    async def carry(self) -> None:
        """Write what Postgres says, unless it is there already."""
        keys = await in_transaction(self._engine, usable_keys)
        try:
            known = await self._place.get()
        except ValueError:
            known = None  # written by nobody we know: what Postgres says replaces it
        if keys != known:
            await self._place.put(keys)
