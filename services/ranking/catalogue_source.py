"""Which catalogue is ranked over: the live one, or the snapshot on disk until that could be read.

Called by   services/ranking/main.py (waits, keeps the snapshot), services/ranking/serving_model.py (binds models to it)
Change      when the live catalogue arrives after a start from the snapshot, the model host binds the model anew
"""

import asyncio
from typing import Protocol

import structlog

from services.ranking.catalogue_snapshot import CatalogueSnapshot
from shared.features.catalogue import Catalogue

PATIENCE_S = 3.0
"""a store that is up answers the first read of a large catalogue about this fast"""
LOOK_EVERY_S = 0.05
SNAPSHOT_EVERY_S = 3600.0

log = structlog.get_logger(__name__)


class Live(Protocol):
    """shared.storage.live_catalogue.LiveCatalogue, as far as it is needed here."""

    @property
    def is_loaded(self) -> bool:
        """Return whether the catalogue was read once."""
        ...

    @property
    def catalogue(self) -> Catalogue:
        """Return the catalogue; another object once it is loaded."""
        ...


class CatalogueSource:
    """Belongs to one event loop."""

    def __init__(self, live: Live, snapshot: CatalogueSnapshot, patience_s: float = PATIENCE_S) -> None:
        self._live, self._snapshot, self._patience_s = live, snapshot, patience_s
        self._from_disk: Catalogue | None = None

    @property
    def current(self) -> Catalogue:
        """Return the catalogue to rank over; empty before `wait` has returned."""
        if self._live.is_loaded or self._from_disk is None:
            return self._live.catalogue
        return self._from_disk

    async def wait(self) -> None:
        """Return as soon as there is a catalogue: the live one, or after some patience the snapshot."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._until_live()
        except TimeoutError:
            self._from_disk = await asyncio.to_thread(self._snapshot.read)
            log.warning("catalogue_from_snapshot", found=self._from_disk is not None)
            if self._from_disk is None:
                await self._until_live()

    async def keep_snapshot(self) -> None:
        """Write the live catalogue to disk, again and again."""
        await self._until_live()
        self._from_disk = None
        while True:
            try:
                await asyncio.to_thread(self._snapshot.write, list(self._live.catalogue.items))
            except OSError as error:
                log.warning("snapshot_not_kept", error=type(error).__name__)
            await asyncio.sleep(SNAPSHOT_EVERY_S)

    async def _until_live(self) -> None:
        while not self._live.is_loaded:
            await asyncio.sleep(LOOK_EVERY_S)
