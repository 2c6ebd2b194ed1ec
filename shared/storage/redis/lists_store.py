"""The popular, trending and new lists, computed by a job of feature and read by every gateway.

Called by   services/feature (put), services/gateway (get)
In, out     JSON as bytes; what it holds is the concern of those two
Errors      STORE_ERRORS of clients.py; absent after an eviction, until the next run of the job
"""

from typing import Any

from shared.storage.redis.clients import AsyncRedis
from shared.storage.redis.keys import Keys


class ListsStore:
    """The lists of one install."""

    def __init__(self, client: AsyncRedis, namespace: str) -> None:
        self._client = client
        self._key = Keys(namespace).lists()

    async def put(self, lists: bytes) -> None:
        """Replace the lists."""
        await self._client.set(self._key, lists)

    async def get(self) -> bytes | None:
        """Return the lists, None when there are none."""
        found: Any = await self._client.get(self._key)
        return None if found is None else bytes(found)
