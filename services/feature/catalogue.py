"""Change the catalogue and tell everybody: Postgres first, the change stream second.

Called by   routes.py (POST /items, PATCH, GET and DELETE /items/{id})
In          items as the shop writes them; an id is answered in the form, integer or string, it was last written in
Told late   a change is stored before it is told. Where telling fails, the change is owed: one message that makes every
            follower read the store again is sent as soon as the stream is back, and at every start of this service, so
            that not even a process killed between the two steps leaves a follower behind
Errors      UnknownItemError; STORAGE_DOWN_ERRORS
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from services.feature.transactions import in_transaction
from shared.contracts.catalogue import Item, ItemFields, ItemPatch
from shared.features.catalogue import CatalogueItem
from shared.storage.item_json import item_to_json
from shared.storage.redis.change_stream import ChangeKind
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.relational import catalogue as table
from shared.storage.relational.catalogue import SequencedItem
from shared.storage.relational.engine import Connection, Engine

OWED_EVERY_S = 1.0

log = structlog.get_logger()


class UnknownItemError(Exception):
    """The catalogue has no such item."""


class Changes(Protocol):
    """shared.storage.redis.change_stream.ChangeStream."""

    async def publish(self, kind: ChangeKind, body: dict[str, Any]) -> None:
        """Tell one change."""
        ...

    async def publish_many(self, kind: ChangeKind, bodies: Sequence[dict[str, Any]]) -> None:
        """Tell several."""
        ...


class ShopCatalogue:
    """The catalogue's write side. Belongs to one event loop."""

    def __init__(self, engine: Engine, changes: Changes) -> None:
        self._engine = engine
        self._changes = changes
        self._owes_news = True

    async def upsert(self, items: Sequence[CatalogueItem]) -> None:
        """Write items whole: what an item does not say is cleared."""
        await self._tell(await in_transaction(self._engine, lambda connection: table.upsert_items(connection, items)))

    async def patch(self, item_id: str, patch: ItemPatch) -> CatalogueItem:
        """Change the fields that the patch names."""
        changes = patch.model_dump(exclude_unset=True)
        return await self._change(lambda connection: table.patch_item(connection, item_id, changes))

    async def delete(self, item_id: str) -> CatalogueItem:
        """Take an item out of sale for good; return what it was."""
        return await self._change(lambda connection: table.delete_item(connection, item_id))

    async def get(self, item_id: str) -> CatalogueItem:
        """Return an item."""
        item = await in_transaction(self._engine, lambda connection: table.get_item(connection, item_id))
        if item is None:
            raise UnknownItemError
        return item

    async def tell_what_is_owed(self) -> None:
        """Run for ever: make up for changes that could not be told."""
        while True:
            if self._owes_news:
                try:
                    await self._changes.publish(ChangeKind.CATALOGUE, {})
                    self._owes_news = False
                except STORE_ERRORS as error:
                    log.warning("change_not_told", error=type(error).__name__)
            await asyncio.sleep(OWED_EVERY_S)

    async def _change(self, change: Callable[[Connection], SequencedItem | None]) -> CatalogueItem:
        changed = await in_transaction(self._engine, change)
        if changed is None:
            raise UnknownItemError
        await self._tell([changed])
        return changed.item

    async def _tell(self, changed: Sequence[SequencedItem]) -> None:
        if not changed:
            return
        bodies = [{"seq": entry.seq, "item": item_to_json(entry.item)} for entry in changed]
        try:
            await self._changes.publish_many(ChangeKind.ITEM, bodies)
        except STORE_ERRORS as error:
            log.warning("change_not_told", error=type(error).__name__)
            self._owes_news = True


def catalogue_item(item: Item, *, is_integer: bool) -> CatalogueItem:
    """Return the item as it is stored; `is_integer`: the shop wrote its id as a JSON integer."""
    fields = {name: getattr(item, name) for name in ItemFields.model_fields}
    fields["categories"] = tuple(item.categories or ())
    fields["attributes"] = item.attributes or {}
    return CatalogueItem(item_id=item.item_id, is_integer=is_integer, **fields)


def public_item(item: CatalogueItem) -> Mapping[str, Any]:
    """Return the item as the shop reads it: shared.contracts.catalogue.Item as JSON values."""
    values = item_to_json(item)
    values["item_id"] = int(item.item_id) if item.is_integer else item.item_id
    return {name: values[name] for name in Item.model_fields}
