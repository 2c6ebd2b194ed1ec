"""How often a key may ask: buckets that all gateways share, asked for a few tokens at a time.

Called by   services/gateway/access.py, before a request is parsed; routes.py for what a batch holds beyond one request
Cost        a process takes the tokens of LEASE_S at once and spends them from memory, so a busy key costs 10
            round trips a second and not one for each request. The next ones are brought beside the requests; what was
            left of the last goes then, and LAPSE_S later in any case, so no more gathers than that
Refused     429 with Retry-After; until then the process refuses from memory, and a flood costs no round trip either
Store away  each process grants the rate by itself: never an error, and never no limit
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import structlog

from shared.contracts.access import ApiKey
from shared.contracts.problems import ProblemCode
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.clock import Clock
from shared.service.problems import ProblemError
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.redis.rate_limit import Grant

LEASE_S = 0.1
LAPSE_S = 0.5
"""tokens may be spent for so long after LEASE_S, while the next ones are on their way: that takes a while in a crowd"""
BURST_S = 2.0
"""a key that was quiet may send this many seconds' worth at once"""

STORE_AWAY: tuple[type[Exception], ...] = (*STORE_ERRORS, TimeoutError)

log = structlog.get_logger(__name__)


_Call = Callable[[str, float, float, int], Awaitable[Grant]]


class Buckets(Protocol):
    """shared.storage.redis.rate_limit.RateBuckets."""

    async def take(self, key_id: str, rate_per_s: float, capacity: float, wanted: int) -> Grant:
        """Take up to `wanted` tokens."""
        ...

    async def owe(self, key_id: str, rate_per_s: float, capacity: float, number: int) -> Grant:
        """Take tokens that are perhaps not there: they are missing later."""
        ...


@dataclass
class _Meter:
    """What one process has left for one key."""

    leased: int = 0
    renewed_at_s: float = 0.0
    lapsed_at_s: float = 0.0
    refused_until_s: float = 0.0
    local_tokens: float | None = None
    """of the bucket that counts while the store is away; None: full"""
    local_at_s: float = 0.0
    asking: asyncio.Task[None] | None = None


class RateLimits:
    """The limits of one process."""

    def __init__(
        self, buckets: Buckets, default_per_s: float, timeout_ms: float, breaker: CircuitBreaker, clock: Clock
    ) -> None:
        self._buckets = buckets
        self._default_per_s = default_per_s
        self._timeout_s = timeout_ms / 1000
        self._breaker = breaker
        self._clock = clock
        self._meters: dict[str, _Meter] = {}

    async def refusal(self, key: ApiKey) -> ProblemError | None:
        """Count one request; return the 429 if it is one too many."""
        meter = self._meters.setdefault(key.key_id, _Meter())
        rate_per_s = key.requests_per_s or self._default_per_s
        while not self._spend(meter):
            wait_s = meter.refused_until_s - self._clock.monotonic_s()
            if wait_s > 0:
                return _too_many(wait_s)
            await asyncio.shield(self._asking(meter, key.key_id, rate_per_s))
        if self._clock.monotonic_s() >= meter.renewed_at_s:
            self._asking(meter, key.key_id, rate_per_s)
        return None

    async def charge(self, key: ApiKey, number: int) -> None:
        """Count requests that were let in as one: whoever asks next waits for all of them."""
        meter = self._meters.setdefault(key.key_id, _Meter())
        rate_per_s = key.requests_per_s or self._default_per_s
        meter.leased = 0
        owed = await self._asked(self._buckets.owe, key.key_id, rate_per_s, number)
        if owed is None:
            meter.local_tokens = max(-_capacity(rate_per_s), self._local_tokens(meter, rate_per_s) - number)

    def _spend(self, meter: _Meter) -> bool:
        if meter.leased < 1 or self._clock.monotonic_s() >= meter.lapsed_at_s:
            return False
        meter.leased -= 1
        return True

    def _asking(self, meter: _Meter, key_id: str, rate_per_s: float) -> "asyncio.Task[None]":
        """Ask once for all who wait; they go on together.

        A lock would let one in for each turn of the loop: where a turn takes 10 ms, the hundredth came a second later.
        """
        if meter.asking is None or meter.asking.done():
            meter.asking = asyncio.create_task(self._lease(meter, key_id, rate_per_s))
        return meter.asking

    async def _lease(self, meter: _Meter, key_id: str, rate_per_s: float) -> None:
        """Bring tokens, or the moment before which there are none."""
        wanted = max(1, int(rate_per_s * LEASE_S))
        grant = await self._asked(self._buckets.take, key_id, rate_per_s, wanted)
        grant = grant or self._local(meter, rate_per_s, wanted)
        now_s = self._clock.monotonic_s()
        renew_s = max(LEASE_S, 1 / rate_per_s)
        meter.leased, meter.renewed_at_s, meter.lapsed_at_s = grant.tokens, now_s + renew_s, now_s + renew_s + LAPSE_S
        meter.refused_until_s = now_s + grant.wait_s if grant.tokens == 0 else 0.0

    async def _asked(self, call: _Call, key_id: str, rate_per_s: float, number: int) -> Grant | None:
        if not self._breaker.allow():
            return None
        try:
            with self._breaker.attempt(*STORE_AWAY):
                async with asyncio.timeout(self._timeout_s):
                    return await call(key_id, rate_per_s, _capacity(rate_per_s), number)
        except STORE_AWAY as error:
            log.warning("rate_store_unavailable", reason=type(error).__name__)
            return None

    def _local(self, meter: _Meter, rate_per_s: float, wanted: int) -> Grant:
        """Grant from a bucket in memory, as the store's script would."""
        tokens = self._local_tokens(meter, rate_per_s)
        granted = min(max(0, int(tokens)), wanted)
        meter.local_tokens = tokens - granted
        return Grant(granted, 0.0 if granted else (1 - meter.local_tokens) / rate_per_s)

    def _local_tokens(self, meter: _Meter, rate_per_s: float) -> float:
        """Return what the bucket in memory holds now."""
        now_s, capacity = self._clock.monotonic_s(), _capacity(rate_per_s)
        tokens = capacity if meter.local_tokens is None else meter.local_tokens
        since_s, meter.local_at_s = now_s - meter.local_at_s, now_s
        return min(capacity, tokens + since_s * rate_per_s)


def _capacity(rate_per_s: float) -> float:
    return max(1.0, rate_per_s * BURST_S)


def _too_many(wait_s: float) -> ProblemError:
    detail = "this key asks more often than it may"
    return ProblemError(429, ProblemCode.RATE_LIMITED, detail, headers={"retry-after": str(max(1, ceil(wait_s)))})
