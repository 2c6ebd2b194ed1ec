"""Who was erased and when, on the stream server: apart from Postgres, so that restoring a backup that is older than an
erasure does not bring the shopper back for good.

Called by   services/feature/users.py (add, at every erasure), erasure_keeper.py (compares with Postgres)
Kept        KEPT_DAYS: longer than any backup
Errors      STORE_ERRORS of clients.py
"""

from collections.abc import Sequence
from typing import Any

from shared.storage.redis.clients import AsyncRedis
from shared.storage.redis.keys import Keys

KEPT_DAYS = 40
DAY_MS = 24 * 3600 * 1000


class Tombstones:
    """The tombstones of one install."""

    def __init__(self, client: AsyncRedis, namespace: str) -> None:
        self._client = client
        self._key = Keys(namespace).tombstones()

    async def add(self, user_keys: Sequence[str], erased_at_ms: int) -> None:
        """Remember an erasure; the newer one counts."""
        await self._client.hset(self._key, mapping=dict.fromkeys(user_keys, erased_at_ms))

    async def all(self, now_ms: int) -> dict[str, int]:
        """Return when each shopper was erased, as epoch milliseconds; what is older than any backup goes."""
        found: Any = await self._client.hgetall(self._key)
        erased = {user_key.decode(): int(at_ms) for user_key, at_ms in found.items()}
        old = [user_key for user_key, at_ms in erased.items() if at_ms < now_ms - KEPT_DAYS * DAY_MS]
        if old:
            await self._client.hdel(self._key, *old)
        return {user_key: at_ms for user_key, at_ms in erased.items() if user_key not in old}
