"""The rules and scenarios in memory, read anew at every word of a change: a rule acts within a second or two.

Called by   services/ranking/main.py; read in the event loop's thread
In          all rows of Postgres, again after each RULES change of the change stream
Kept        the last state also in a file, so that a process that starts while Postgres is away hides what was hidden
Lost        while the stores are away, what was read stays; it is tried again with growing waits
Errors      none; `known` is set when there is something to go by: the rows, else what the file says, if there is one
"""

import asyncio
import os
from pathlib import Path

import structlog
from pydantic import ValidationError

from shared.contracts.merchandising import NO_MERCHANDISING, Merchandising
from shared.storage.redis.change_stream import ChangeKind, ChangeStream
from shared.storage.redis.clients import STORE_ERRORS, raise_if_cancelled
from shared.storage.relational import rules
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
STORES_LOST: tuple[type[Exception], ...] = (*STORE_ERRORS, *STORAGE_DOWN_ERRORS)

log = structlog.get_logger(__name__)


class LiveMerchandising:
    """One process's rules and scenarios; `run` it as a job of the event loop."""

    def __init__(self, engine: Engine, changes: ChangeStream, snapshot: Path) -> None:
        self.current: Merchandising = NO_MERCHANDISING
        self.known = asyncio.Event()
        self._engine, self._changes, self._snapshot = engine, changes, snapshot

    async def run(self) -> None:
        """Follow for ever."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                # The rows first, even without the stream; then again from a place in it, so that no change is missed.
                await self._read()
                after_id = await self._changes.last_id()
                raise_if_cancelled()
                await self._read()
                wait_s = FIRST_WAIT_S
                async for changes in self._changes.tail_batches(after_id):
                    if any(change.kind == ChangeKind.RULES for change in changes):
                        await self._read()
            except STORES_LOST as error:
                log.warning("rules_not_followed", error=type(error).__name__, retry_in_s=wait_s)
                await self._recall()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _read(self) -> None:
        before = self.current.version
        self.current = await asyncio.to_thread(self._load)
        self.known.set()
        if self.current.version != before:
            await asyncio.to_thread(self._keep, self.current)

    def _load(self) -> Merchandising:
        with self._engine.connect() as connection:
            return rules.load(connection)

    async def _recall(self) -> None:
        """Go by the file until the stores answer for the first time."""
        if not self.known.is_set():
            self.current = await asyncio.to_thread(self._remembered)
            self.known.set()

    def _remembered(self) -> Merchandising:
        try:
            return Merchandising.model_validate_json(self._snapshot.read_bytes())
        except (OSError, ValidationError):
            return NO_MERCHANDISING

    def _keep(self, current: Merchandising) -> None:
        """Write the file; it is whole at any moment."""
        temporary = self._snapshot.with_name(f".{self._snapshot.name}.{os.getpid()}")
        try:
            self._snapshot.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(current.model_dump_json())
            temporary.replace(self._snapshot)
        except OSError as error:
            log.warning("rules_not_kept", error=type(error).__name__)
