"""The rules and scenarios where every gateway finds them: on the stream server, which never drops a key.

Called by   the `aisle rules` and `aisle scenarios` commands (put), services/gateway/hidden_items.py (get)
In, out     shared.contracts.merchandising.Merchandising
Errors      STORE_ERRORS of clients.py; ValueError for a document that is none
"""

from typing import Any

from shared.contracts.merchandising import Merchandising
from shared.storage.redis.clients import AsyncRedis, SyncRedis
from shared.storage.redis.keys import Keys


class MerchandisingStore:
    """The event loop's side."""

    def __init__(self, client: AsyncRedis, namespace: str) -> None:
        self._client = client
        self._key = Keys(namespace).merchandising()

    async def get(self) -> Merchandising | None:
        """Return what holds now, None when nobody ever put anything."""
        found: Any = await self._client.get(self._key)
        return None if found is None else Merchandising.model_validate_json(found)


def put_merchandising(client: SyncRedis, namespace: str, merchandising: Merchandising) -> None:
    """Replace what holds, for commands."""
    client.set(Keys(namespace).merchandising(), merchandising.model_dump_json())
