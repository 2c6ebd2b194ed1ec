"""The keys that may be used, where every gateway finds them: on the stream server, which never drops a key.

Called by   services/feature/key_carrier.py and the `aisle keys` command (put), services/gateway/key_ring.py (get)
In, out     shared.contracts.access.ApiKeys
Errors      STORE_ERRORS of clients.py; ValueError for a document that is none
"""

from typing import Any

from shared.contracts.access import ApiKeys
from shared.storage.redis.clients import AsyncRedis, SyncRedis
from shared.storage.redis.keys import Keys


class KeyStore:
    """The event loop's side."""

    def __init__(self, client: AsyncRedis, namespace: str) -> None:
        self._client = client
        self._key = Keys(namespace).api_keys()

    async def put(self, keys: ApiKeys) -> None:
        """Replace the keys."""
        await self._client.set(self._key, _document(keys))

    async def get(self) -> ApiKeys | None:
        """Return the keys, None when nobody ever put any."""
        found: Any = await self._client.get(self._key)
        return None if found is None else ApiKeys.model_validate_json(found)


def put_keys(client: SyncRedis, namespace: str, keys: ApiKeys) -> None:
    """Replace the keys, for commands."""
    client.set(Keys(namespace).api_keys(), _document(keys))


def _document(keys: ApiKeys) -> bytes:
    return keys.model_dump_json().encode()
