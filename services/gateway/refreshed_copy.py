"""Keep a document of the stores in memory: read anew at every word of a change and every few seconds.

Called by   key_ring.py and hidden_items.py, which say what is done with it; composition.py (follow, a job),
            change_follower.py (refresh_soon)
Away        while the document cannot be read, the last known one holds; said once in the log, not at every try
None        no document at all is an empty server, not an empty document: what is known stays
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import structlog

from shared.storage.redis.clients import STORE_ERRORS

REFRESH_S = 5.0
RETRY_S = 1.0

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")

log = structlog.get_logger(__name__)


class DocumentSource(Protocol[T_co]):
    """Where the document is: a store of shared/storage/redis."""

    async def get(self) -> T_co | None:
        """Return it, None when nobody ever put any; ValueError when it cannot be understood."""
        ...


class RefreshedCopy(ABC, Generic[T]):
    """The copy of one process; belongs to its event loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: T | None = None
        self._wanted = asyncio.Event()
        self._reachable = True

    @abstractmethod
    async def _take(self, document: T) -> None:
        """Use a document that differs from the one before."""

    def refresh_soon(self) -> None:
        """Read the document anew without waiting for the next round."""
        self._wanted.set()

    async def follow(self, source: DocumentSource[T]) -> None:
        """Refresh for ever."""
        while True:
            self._wanted.clear()
            wait_s = REFRESH_S if await self._refresh(source) else RETRY_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _refresh(self, source: DocumentSource[T]) -> bool:
        try:
            found = await source.get()
        except STORE_ERRORS as error:
            if self._reachable:
                log.warning(f"{self._name}_unavailable", reason=type(error).__name__)
            self._reachable = False
            return False
        except ValueError as error:
            log.error(f"{self._name}_malformed", reason=type(error).__name__)
            return False
        self._reachable = True
        if found is not None and found != self._known:
            self._known = found
            await self._take(found)
        return True
