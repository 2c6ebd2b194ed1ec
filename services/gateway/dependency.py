"""Call another service so that its trouble stays its own: bulkhead, breaker, timeout, one retry within a budget.

Called by   services/gateway/clients.py and proxy.py
Order       breaker → slot (10 ms at most) → send → one retry if nothing was answered
Retry       only after a broken connection or a 503 with Retry-After, only while more time is left than such a call
            usually takes, only within a tenth of the requests; nowhere else in Aisle is a call repeated
Errors      DependencyDownError, DependencyLateError, DependencyBusyError
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

from services.gateway.metrics import GatewayMetrics
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.resilience.concurrency_limit import ConcurrencyLimit, SaturatedError
from shared.resilience.deadline import Deadline
from shared.resilience.retry_budget import RetryBudget
from shared.service.http_client import Reply, ServiceTimeoutError, ServiceUnreachableError

Send = Callable[[float], Awaitable[Reply]]
"""Send the request with a timeout in milliseconds."""

MAX_JITTER_MS = 20.0


class DependencyError(Exception):
    """No usable answer."""


class DependencyDownError(DependencyError):
    """Unreachable, answering 5xx, or known to be down (the breaker is open)."""


class DependencyLateError(DependencyError):
    """No answer within the time it had."""


class DependencyBusyError(DependencyError):
    """Too many calls to it are in flight already."""


class _RepeatableError(Exception):
    """The call had no effect that matters; it may be sent once more."""


@dataclass
class Dependency:
    """One service as seen from here: what protects it from us and us from it."""

    name: str
    timeout_ms: float
    metrics: GatewayMetrics
    limit: ConcurrencyLimit
    breaker: CircuitBreaker
    retries: RetryBudget = field(default_factory=RetryBudget)
    _recent_ms: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=64))

    def __post_init__(self) -> None:
        self.metrics.watch_breaker(self.name, self.breaker)

    async def call(self, send: Send, deadline: Deadline, timeout_ms: float | None = None) -> Reply:
        """Return the answer (any status below 500) of one call, made at most twice."""
        own_timeout_ms = timeout_ms or self.timeout_ms
        until = Deadline.after(deadline.cap_ms(own_timeout_ms), deadline.monotonic_s)
        self.retries.count_request()
        try:
            return await self._attempt(send, until, own_timeout_ms)
        except _RepeatableError as failure:
            if until.remaining_ms() <= median(self._recent_ms) or not self.retries.take():
                raise DependencyDownError(self.name) from failure
        self.metrics.count_call(self.name, "retried")
        await asyncio.sleep(random.uniform(0, min(MAX_JITTER_MS, until.remaining_ms() / 4)) / 1000)
        try:
            return await self._attempt(send, until, own_timeout_ms)
        except _RepeatableError as failure:
            raise DependencyDownError(self.name) from failure

    async def _attempt(self, send: Send, until: Deadline, own_timeout_ms: float) -> Reply:
        if until.expired:
            raise DependencyLateError(self.name)
        if not self.breaker.allow():
            self.metrics.count_call(self.name, "refused")
            raise DependencyDownError(self.name)
        settled = False
        try:
            async with self.limit.slot():
                reply = await self._send(send, until, own_timeout_ms)
                settled = True
        except SaturatedError as error:
            self.metrics.count_call(self.name, "saturated")
            raise DependencyBusyError(self.name) from error
        except (DependencyError, _RepeatableError):
            settled = True
            raise
        finally:
            if not settled:
                self.breaker.abandoned()
        return reply

    async def _send(self, send: Send, until: Deadline, own_timeout_ms: float) -> Reply:
        """Send once and tell the breaker how it went."""
        allowed_ms = until.remaining_ms()
        started_s = perf_counter()
        try:
            reply = await send(allowed_ms)
        except ServiceTimeoutError as error:
            # A client that asks for an answer in 20 ms says nothing about the dependency's health.
            if allowed_ms >= own_timeout_ms / 2:
                self.breaker.failed()
            else:
                self.breaker.abandoned()
            self.metrics.count_call(self.name, "timeout")
            raise DependencyLateError(self.name) from error
        except ServiceUnreachableError as error:
            self._count_failure()
            raise _RepeatableError from error
        if reply.status == 503 and "retry-after" in reply.headers:
            # Alive, and shedding load: were that a failure, the breaker would turn away what it could still do.
            self.breaker.abandoned()
            self.metrics.count_call(self.name, "shed")
            raise _RepeatableError
        if reply.status >= 500:
            self._count_failure()
            raise DependencyDownError(f"{self.name} answered {reply.status}")
        self.breaker.succeeded()
        self.metrics.count_call(self.name, "ok")
        self._recent_ms.append((perf_counter() - started_s) * 1000)
        return reply

    def _count_failure(self) -> None:
        self.breaker.failed()
        self.metrics.count_call(self.name, "error")
