"""What changed, told to every process: items, the model, the rules, shoppers, the lists.

Called by   services/feature and the `aisle` command (publish),
            shared/storage/live_catalogue.py and services/gateway (follow)
Out         changes in the order they were published; a process that was away for long reads the store itself again,
            since the stream keeps only the newest MAX_CHANGES
Errors      STORE_ERRORS of clients.py; `tail` ends with the error, and the follower decides how to go on
Timeouts    the client's timeout must be above BLOCK_MS
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from shared.storage.redis.clients import AsyncRedis, SyncRedis, raise_if_cancelled
from shared.storage.redis.keys import Keys

MAX_CHANGES = 100_000
BLOCK_MS = 1000
READ_COUNT = 1000
BEGINNING = "0-0"


class ChangeKind(StrEnum):
    """What a change is about, and what its body holds."""

    ITEM = "item"
    """{"seq": int, "item": shared.storage.item_json}; an item that is gone has "deleted": true"""
    CATALOGUE = "catalogue"
    """{}: many items changed at once; read those that changed since from the store"""
    MODEL = "model"
    """{"version": str}"""
    RULES = "rules"
    """{"version": str}"""
    KEYS = "keys"
    """{}: API keys were made or revoked; read them anew"""
    USER = "user"
    """{"user_key": str}: erased or merged; drop what you keep of this shopper"""
    LISTS = "lists"
    """{}: the popular, trending and new lists were computed anew"""


@dataclass(frozen=True)
class Change:
    """One change; `id` is its place in the stream."""

    id: str
    kind: str
    """a ChangeKind, or one of a later version of Aisle: ignore what you do not know"""
    body: dict[str, Any]


class ChangeStream:
    """The event loop's side."""

    def __init__(self, client: AsyncRedis, namespace: str) -> None:
        self._client = client
        self._key = Keys(namespace).changes()

    async def publish(self, kind: ChangeKind, body: dict[str, Any]) -> None:
        """Tell one change."""
        await self.publish_many(kind, [body])

    async def publish_many(self, kind: ChangeKind, bodies: Sequence[dict[str, Any]]) -> None:
        """Tell several changes in one round trip."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for body in bodies:
                pipeline.xadd(self._key, _fields(kind, body), maxlen=MAX_CHANGES, approximate=True)
            await pipeline.execute()

    async def last_id(self) -> str:
        """Return the place of the newest change, to follow from there."""
        newest: Any = await self._client.xrevrange(self._key, count=1)
        return str(newest[0][0].decode()) if newest else BEGINNING

    async def tail_batches(self, after_id: str) -> AsyncIterator[list[Change]]:
        """Yield the changes after a place as they come, several at a time when they come fast; never ends by itself."""
        while True:
            found: Any = await self._client.xread({self._key: after_id}, count=READ_COUNT, block=BLOCK_MS)
            raise_if_cancelled()
            for _, entries in found or []:
                changes = [_change(entry_id, fields) for entry_id, fields in entries]
                after_id = changes[-1].id
                yield changes

    async def tail(self, after_id: str) -> AsyncIterator[Change]:
        """Yield the changes after a place one by one; never ends by itself."""
        async for changes in self.tail_batches(after_id):
            for change in changes:
                yield change


class ChangePublisher:
    """The side of threads and commands."""

    def __init__(self, client: SyncRedis, namespace: str) -> None:
        self._client = client
        self._key = Keys(namespace).changes()

    def publish(self, kind: ChangeKind, body: dict[str, Any]) -> None:
        """Tell one change."""
        self._client.xadd(self._key, _fields(kind, body), maxlen=MAX_CHANGES, approximate=True)


def _fields(kind: ChangeKind, body: dict[str, Any]) -> Any:
    return {"kind": kind.value, "body": orjson.dumps(body)}


def _change(entry_id: bytes, fields: dict[bytes, bytes]) -> Change:
    return Change(entry_id.decode(), fields[b"kind"].decode(), orjson.loads(fields[b"body"]))
