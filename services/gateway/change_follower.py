"""Follow the change stream for the life of the process, and pass on what the gateway keeps in memory.

Called by   services/gateway/composition.py, as a job
Away        while the stream cannot be read, no list counts as unchanged (ItemChanges.connected)
Unreadable  a change of another version of Aisle, or a broken one: whichever item it meant, nothing is sure any more
"""

import asyncio

import structlog

from services.gateway.hidden_items import HiddenItems
from services.gateway.item_changes import ItemChanges
from services.gateway.key_ring import KeyRing
from services.gateway.ports import ChangeFeed
from services.gateway.serving_model import ServingModel
from shared.storage.redis.change_stream import Change, ChangeKind
from shared.storage.redis.clients import STORE_ERRORS

RETRY_S = 1.0

log = structlog.get_logger(__name__)


class ChangeFollower:
    """Reads changes and tells those who keep them."""

    def __init__(
        self, feed: ChangeFeed, items: ItemChanges, model: ServingModel, keys: KeyRing, hidden: HiddenItems
    ) -> None:
        self._feed = feed
        self._items = items
        self._model = model
        self._keys = keys
        self._hidden = hidden
        self._last_id = f"{items.known_since_ms}-0"

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            try:
                await self._feed.last_id()
                self._items.connected = True
                async for change in self._feed.tail(self._last_id):
                    self._last_id = change.id
                    self._pass_on(change)
            except STORE_ERRORS as error:
                if self._items.connected:
                    log.warning("change_stream_lost", reason=type(error).__name__)
            finally:
                self._items.connected = False
            await asyncio.sleep(RETRY_S)

    def _pass_on(self, change: Change) -> None:
        try:
            if change.kind == ChangeKind.MODEL:
                self._model.saw(change.body["version"])
            elif change.kind == ChangeKind.KEYS:
                self._keys.refresh_soon()
            elif change.kind == ChangeKind.RULES:
                self._hidden.refresh_soon()
            else:
                self._items.take(change)
        except (KeyError, TypeError, ValueError) as error:
            log.error("change_unreadable", id=change.id, reason=type(error).__name__)
            self._items.distrust_until(change.id)
