"""A process's share of a key's rate: brought once for all who wait, and renewed before anybody has to."""

import asyncio

from services.gateway.rate_limit import LAPSE_S, LEASE_S, RateLimits
from shared.contracts.access import ApiKey, Scope
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.storage.redis.rate_limit import Grant
from tests.fakes import FakeClock

RATE = 10_000.0
KEY = ApiKey(digest="0" * 64, scopes=frozenset({Scope.RECOMMEND}), requests_per_s=RATE)
TURNS = 10
"""of the event loop: enough for a few steps one after another, too few for a crowd that goes in single file"""


class HeldBuckets:
    """A store that gives what is wanted when the test lets it."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()

    async def take(self, key_id: str, rate_per_s: float, capacity: float, wanted: int) -> Grant:
        """Give all of it, when it may."""
        self.asked += 1
        await self.answers.wait()
        return Grant(wanted, 0.0)

    async def owe(self, key_id: str, rate_per_s: float, capacity: float, number: int) -> Grant:
        """Nothing here asks for a batch."""
        raise NotImplementedError


def limits_over(buckets: HeldBuckets, clock: FakeClock) -> RateLimits:
    """Return limits whose store may take its time."""
    return RateLimits(buckets, RATE, 60_000, CircuitBreaker(), clock)


async def turns() -> None:
    """Let the loop turn a few times."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def test_all_who_wait_for_tokens_go_on_together_when_they_come() -> None:
    buckets = HeldBuckets()
    limits = limits_over(buckets, FakeClock())
    crowd = [asyncio.create_task(limits.refusal(KEY)) for _ in range(100)]
    await turns()
    assert buckets.asked == 1
    buckets.answers.set()
    await turns()
    assert [task.done() and task.result() for task in crowd] == [None] * 100


async def test_a_lease_is_renewed_beside_the_requests_and_only_a_lapsed_one_makes_them_wait() -> None:
    buckets, clock = HeldBuckets(), FakeClock()
    limits = limits_over(buckets, clock)
    buckets.answers.set()
    assert await limits.refusal(KEY) is None
    buckets.answers.clear()
    clock.advance(LEASE_S)
    for _ in range(3):
        assert await asyncio.wait_for(limits.refusal(KEY), 1) is None
    await turns()
    assert buckets.asked == 2
    clock.advance(LAPSE_S)
    late = asyncio.create_task(limits.refusal(KEY))
    await turns()
    assert not late.done()
    buckets.answers.set()
    assert await late is None
