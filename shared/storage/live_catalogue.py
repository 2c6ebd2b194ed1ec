"""The catalogue in memory, following every change: price, stock and new items act within a second or two.

Called by   main.py of services/feature and services/ranking; read in the event loop's thread, where it is also changed
In          everything from Postgres once, then the change stream
Out         `.catalogue` (shared.features.catalogue.Catalogue); rows never move, new items are appended
Lost        when the stream breaks off, what was read stays; it is tried again with growing waits, and what changed
            meanwhile is read from Postgres first. A change with a lower number than the one known is old news: ignored
Errors      `start` waits for the first load and raises TimeoutError when the stores stay away; later errors are logged
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from shared.features.catalogue import Catalogue
from shared.storage.item_json import item_from_json
from shared.storage.redis.change_stream import Change, ChangeKind, ChangeStream
from shared.storage.redis.clients import STORE_ERRORS, raise_if_cancelled
from shared.storage.relational.catalogue import SequencedItem, changed_since, clock, load_all
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine
from shared.storage.relational.schema_version import SchemaTooOldError, require_schema
from shared.storage.trouble import trouble_of

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
CANCEL_AGAIN_S = 0.2
STORES_DOWN: tuple[type[Exception], ...] = (*STORE_ERRORS, *STORAGE_DOWN_ERRORS)
# A transaction that began before we looked may commit after: its changes carry an earlier time.
OVERLAP = timedelta(minutes=5)

STORE_LOST: tuple[type[Exception], ...] = (*STORE_ERRORS, *STORAGE_DOWN_ERRORS, SchemaTooOldError)

log = structlog.get_logger()


class LiveCatalogue:
    """One process's catalogue; `start` it in the event loop, `stop` it at the end."""

    def __init__(self, engine: Engine, changes: ChangeStream) -> None:
        self.catalogue = Catalogue()
        self._engine = engine
        self._changes = changes
        self._seq: dict[str, int] = {}
        self._read_at: datetime | None = None
        self._loaded = asyncio.Event()
        self._trouble: str | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_loaded(self) -> bool:
        """Return whether the catalogue was read once."""
        return self._loaded.is_set()

    def why_not_loaded(self) -> str | None:
        """Return None once the catalogue was read; until then what it waits for, in words."""
        if self.is_loaded:
            return None
        return "the catalogue has not been read yet" + (f": {self._trouble}" if self._trouble else "")

    async def start(self, timeout_s: float | None = None) -> None:
        """Begin to follow; return when everything is loaded."""
        self._task = asyncio.create_task(self._follow_for_ever())
        async with asyncio.timeout(timeout_s):
            await self._loaded.wait()

    async def stop(self) -> None:
        """Stop following; the catalogue stays readable."""
        while self._task is not None and not self._task.done():
            # More than once: asyncio.wait_for, which redis-py calls, can swallow a cancellation (Python < 3.12).
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_AGAIN_S)

    async def _follow_for_ever(self) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                # The place in the stream first: what happens after it is not missed, only seen twice.
                after_id = await self._changes.last_id()
                raise_if_cancelled()
                await self._read_store()
                wait_s = FIRST_WAIT_S
                async for changes in self._changes.tail_batches(after_id):
                    await self._apply(changes)
            except STORE_LOST as error:
                self._trouble = trouble_of(error)
                log.warning(
                    "catalogue_not_followed", error=type(error).__name__, reason=self._trouble, retry_in_s=wait_s
                )
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _read_store(self) -> None:
        """Read everything the first time, then what changed since the last time."""
        since = None if self._read_at is None else self._read_at - OVERLAP
        read_at, found = await asyncio.to_thread(_read, self._engine, since)
        if since is None:
            # 100,000 items take a second: built beside the event loop, while nobody can see it.
            self._seq = {item.item.item_id: item.seq for item in found}
            self.catalogue = await asyncio.to_thread(Catalogue, [item.item for item in found])
        else:
            self._put(found)
        self._read_at = read_at
        self._loaded.set()

    async def _apply(self, changes: Sequence[Change]) -> None:
        self._put(
            SequencedItem(change.body["seq"], item_from_json(change.body["item"]))
            for change in changes
            if change.kind == ChangeKind.ITEM
        )
        if any(change.kind == ChangeKind.CATALOGUE for change in changes):
            await self._read_store()

    def _put(self, found: Iterable[SequencedItem]) -> None:
        """Take over what is newer than what we know; of several changes of one item the last counts."""
        newest: dict[str, SequencedItem] = {}
        for changed in found:
            item_id = changed.item.item_id
            if changed.seq > self._seq.get(item_id, -1):
                self._seq[item_id] = changed.seq
                newest[item_id] = changed
        self.catalogue.upsert([changed.item for changed in newest.values()])


def _read(engine: Engine, since: datetime | None) -> tuple[datetime, list[SequencedItem]]:
    with engine.connect() as connection:
        require_schema(connection)
        read_at = clock(connection)
        return read_at, list(load_all(connection)) if since is None else changed_since(connection, since)
