"""Answers kept for a while: fresh until anything they were made from changed, stale for a day as a fallback.

Called by   services/gateway, services/command (names the rules that hold)
Freshness   an answer is kept with the versions of the shopper and the rules it was made with; it is fresh while both
            are what they are now and its own time is not up. That time is jittered by a fifth, so that answers made
            together do not expire together. Which model made it the answer says; the gateway knows which one serves
Cost        one MGET reads the answer and the versions; answers that wait together are written in one round trip
Errors      STORE_ERRORS of clients.py; an entry that cannot be read counts as absent
"""

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.storage.redis.clients import AsyncRedis, SyncRedis
from shared.storage.redis.keys import ERASED_VERSION, Keys

JITTER = 0.2
LOCK_MS = 200
SCAN_COUNT = 1000

# KEYS: lock. ARGV: the token of whoever took it.
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


# KEYS: of each list its own and its shopper's version. ARGV: seconds to keep a list, how the version of an erased
# shopper begins, then each list. One that was made while its shopper was erased must not outlive the erasure.
WRITE = """
for i = 1, #KEYS, 2 do
    local version = redis.call('GET', KEYS[i + 1])
    if not version or string.sub(version, 1, #ARGV[2]) ~= ARGV[2] then
        redis.call('SET', KEYS[i], ARGV[2 + (i + 1) / 2], 'EX', ARGV[1])
    end
end
"""


@dataclass(frozen=True)
class Versions:
    """What an answer depends on; None while nobody has said."""

    user: str | None
    rules: str | None


@dataclass(frozen=True)
class Entry:
    """An answer to be kept; the versions are those of the state and the rules it was made with, not those of now."""

    request_hash: str
    """covers the whole normalised request and has a fixed length"""
    user_key: str
    body: bytes
    versions: Versions
    made_at_ms: int


@dataclass(frozen=True)
class CachedList:
    """An answer as it was given, and whether it may be given again without a reason."""

    body: bytes
    made_at_ms: int
    fresh: bool


@dataclass(frozen=True)
class CacheRead:
    """What one look into the cache found; the versions are those of that moment, whether or not there was an answer."""

    found: CachedList | None
    versions: Versions


class RecommendationCache:
    """Cached answers of one install."""

    def __init__(
        self,
        client: AsyncRedis,
        namespace: str,
        *,
        ttl_s: int = 60,
        stale_ttl_s: int = 86_400,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._keys = Keys(namespace)
        self._ttl_ms = ttl_s * 1000
        self._stale_ttl_s = stale_ttl_s
        self._fraction = fraction

    async def read(self, request_hash: str, user_key: str, now_ms: int) -> CacheRead:
        """Look an answer up."""
        keys = self._keys
        reply: list[Any] = await self._client.mget(
            keys.cached_list(user_key, request_hash), keys.user_version(user_key), keys.rules_version()
        )
        entry, *found = reply
        versions = Versions(*(None if version is None else version.decode() for version in found))
        return CacheRead(_decode(entry, versions, now_ms), versions)

    async def rules_version(self) -> str | None:
        """Return the version of the rules that hold now, None while nobody has said."""
        version: Any = await self._client.get(self._keys.rules_version())
        return None if version is None else str(version.decode())

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep answers, all in one round trip."""
        keys = [key for entry in entries for key in self._keys_of(entry)]
        written = map(self._encoded, entries)
        if keys:
            await self._client.eval(WRITE, len(keys), *keys, str(self._stale_ttl_s), ERASED_VERSION, *written)

    def _keys_of(self, entry: Entry) -> tuple[str, str]:
        return (
            self._keys.cached_list(entry.user_key, entry.request_hash),
            self._keys.user_version(entry.user_key),
        )

    def _encoded(self, entry: Entry) -> bytes:
        jitter = 1 + JITTER * (2 * self._fraction() - 1)
        header = {
            "made_at_ms": entry.made_at_ms,
            "fresh_until_ms": entry.made_at_ms + int(self._ttl_ms * jitter),
            "versions": [entry.versions.user, entry.versions.rules],
        }
        return orjson.dumps(header) + b"\n" + entry.body

    async def lock(self, request_hash: str, user_key: str, wait_ms: int = LOCK_MS) -> str | None:
        """Return a token if nobody computes this answer now; it is ours for `wait_ms` at most."""
        token = secrets.token_hex(8)
        taken = await self._client.set(self._keys.list_lock(user_key, request_hash), token, nx=True, px=wait_ms)
        return token if taken else None

    async def unlock(self, request_hash: str, user_key: str, token: str) -> None:
        """Give the lock back, if it still is ours."""
        await self._client.eval(RELEASE, 1, self._keys.list_lock(user_key, request_hash), token)

    async def erase(self, user_key: str) -> int:
        """Delete every answer kept for a shopper and count them. Walks the whole cache: for erasure only."""
        start = self._keys.cached_list(user_key, "").encode()
        pattern = self._keys.cached_list(_escaped(user_key), "*")
        removed = 0
        async for key in self._client.scan_iter(match=pattern, count=SCAN_COUNT):
            if b":" not in key[len(start) :]:  # else it is another shopper's, whose key begins with this one
                removed += int(await self._client.delete(key))
        return removed


def name_rules_version(client: SyncRedis, namespace: str, version: str) -> None:
    """Say which merchandising rules hold now: answers made under others are stale at once; for the `aisle` command."""
    client.set(Keys(namespace).rules_version(), version)


def _decode(entry: Any, versions: Versions, now_ms: int) -> CachedList | None:
    if entry is None:
        return None
    header_text, separator, body = entry.partition(b"\n")
    try:
        header = orjson.loads(header_text)
        made_with = Versions(*header["versions"])
        fresh = made_with == versions and now_ms < header["fresh_until_ms"]
        return CachedList(body, header["made_at_ms"], fresh) if separator else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # written by another version of Aisle


def _escaped(text: str) -> str:
    """Return a pattern of SCAN that matches exactly this text."""
    return "".join("\\" + letter if letter in "*?[]\\^-" else letter for letter in text)
