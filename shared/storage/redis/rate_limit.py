"""A token bucket for each API key, on the cache server: all gateways of an install share it.

Called by   services/gateway/rate_limit.py
In          a key's id, tokens per second, the most that may gather, how many are wanted
Out         how many were granted, and the wait in seconds until there is one if none was
Clock       the server's own, so gateways with clocks apart agree
Lost        a bucket that was evicted, or of a server that lost its memory, is full again: harmless
Errors      STORE_ERRORS of clients.py
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

from shared.storage.redis.clients import AsyncRedis
from shared.storage.redis.keys import Keys

# KEYS: the bucket. ARGV: tokens per second, capacity, wanted, seconds until an untouched bucket is full and may go, and
# whether what is not there is owed ("1"). Debt is bounded by what the bucket holds when it is full.
TAKE = """
local now = redis.call('TIME')
local now_s = tonumber(now[1]) + tonumber(now[2]) / 1000000
local rate, capacity, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], 'tokens', 'at_s')
local tokens = tonumber(known[1]) or capacity
local at_s = tonumber(known[2]) or now_s
tokens = math.min(capacity, tokens + math.max(0, now_s - at_s) * rate)
local granted = math.min(math.max(0, math.floor(tokens)), wanted)
if ARGV[5] == '1' then granted = wanted end
tokens = math.max(-capacity, tokens - granted)
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at_s', string.format('%.6f', now_s))
redis.call('EXPIRE', KEYS[1], ARGV[4])
local wait_s = 0
if granted == 0 then wait_s = (1 - tokens) / rate end
return {granted, string.format('%.6f', wait_s)}
"""


@dataclass(frozen=True)
class Grant:
    """What the bucket gave."""

    tokens: int
    wait_s: float
    """until it has one; 0 if it gave any"""


class RateBuckets:
    """The buckets of one install."""

    def __init__(self, client: AsyncRedis, namespace: str) -> None:
        self._client = client
        self._keys = Keys(namespace)

    async def take(self, key_id: str, rate_per_s: float, capacity: float, wanted: int) -> Grant:
        """Take up to `wanted` tokens, in one round trip."""
        return await self._take(key_id, rate_per_s, capacity, wanted, owed=False)

    async def owe(self, key_id: str, rate_per_s: float, capacity: float, number: int) -> Grant:
        """Take tokens that are perhaps not there: they are missing later."""
        return await self._take(key_id, rate_per_s, capacity, number, owed=True)

    async def _take(self, key_id: str, rate_per_s: float, capacity: float, wanted: int, *, owed: bool) -> Grant:
        full_after_s = 2 * ceil(capacity / rate_per_s) + 1
        values = (rate_per_s, capacity, wanted, full_after_s, int(owed))
        reply: Any = await self._client.eval(TAKE, 1, self._keys.rate(key_id), *map(str, values))
        return Grant(int(reply[0]), float(reply[1]))
