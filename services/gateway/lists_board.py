"""Hold the newest popular, trending and new lists in memory, and a copy on disk for a start without Redis.

Called by   services/gateway/main.py (load_snapshot, follow), fallback.py and listing.py (current)
Rule        a failed or malformed refresh never empties what is held
"""

import asyncio
from pathlib import Path

import structlog

from services.gateway.popular_lists import PopularLists, digest_of
from services.gateway.ports import ListsSource
from shared.contracts.recommendation import ServedFrom
from shared.storage.redis.clients import STORE_ERRORS

FIRST_RETRY_S = 0.5

log = structlog.get_logger(__name__)


class ListsBoard:
    """The lists every fallback answer is made of."""

    def __init__(self, snapshot_path: Path) -> None:
        self.current = PopularLists()
        self.rung = ServedFrom.SNAPSHOT
        """POPULAR once the lists came from the store; SNAPSHOT while they are those of the file, or none"""
        self._snapshot_path = snapshot_path
        self._reachable = True

    def load_snapshot(self) -> None:
        """Take the lists of the file, if there is one; a broken file counts as none."""
        try:
            self.current = PopularLists.parse(self._snapshot_path.read_bytes())
        except FileNotFoundError:
            log.info("lists_snapshot_missing")
        except (OSError, ValueError) as error:
            log.warning("lists_snapshot_unreadable", reason=type(error).__name__)

    async def refresh(self, source: ListsSource) -> bool:
        """Take the newest lists; return whether there were any."""
        try:
            text = await source.get()
            if text is None:
                return False
            # A megabyte of lists takes 10 ms to parse: not again every few seconds when they are the same.
            lists = self.current if digest_of(text) == self.current.digest else PopularLists.parse(text)
        except STORE_ERRORS as error:
            if self._reachable:
                log.warning("lists_unavailable", reason=type(error).__name__)
            self._reachable = False
            return False
        except ValueError as error:
            log.error("lists_malformed", reason=type(error).__name__)
            return False
        self._reachable = True
        if lists is not self.current:
            await asyncio.to_thread(self._save_snapshot, text)
        self.current = lists
        self.rung = ServedFrom.POPULAR
        return True

    async def follow(self, source: ListsSource, every_s: float) -> None:
        """Refresh for ever; until the first success, try more often."""
        while True:
            fresh = await self.refresh(source)
            await asyncio.sleep(every_s if fresh else min(every_s, FIRST_RETRY_S))

    def _save_snapshot(self, text: bytes) -> None:
        """Write the file under another name and rename it, so that a crash leaves the old or the new one."""
        unfinished = self._snapshot_path.with_suffix(".unfinished")
        try:
            self._snapshot_path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(text)
            unfinished.replace(self._snapshot_path)
        except OSError as error:
            log.warning("lists_snapshot_not_saved", reason=str(error))
