import asyncio
from collections.abc import Callable

import pytest

from services.gateway.dependency import Dependency, DependencyBusyError, DependencyDownError, DependencyLateError
from services.gateway.metrics import GatewayMetrics
from shared.resilience.circuit_breaker import BreakerState, CircuitBreaker
from shared.resilience.concurrency_limit import ConcurrencyLimit
from shared.resilience.deadline import Deadline
from shared.service.http_client import Reply, ServiceTimeoutError, ServiceUnreachableError
from shared.service.metrics import ServiceMetrics
from tests.fakes import FakeClock

OK = Reply(200, b"{}")
SHED = Reply(503, b"{}", headers={"retry-after": "1"})
REFUSED = ServiceUnreachableError("refused")
LATE = ServiceTimeoutError("late")


class Script:
    """A service that answers as written, one line a call; the last line again and again."""

    def __init__(self, *lines: Reply | Exception) -> None:
        self._lines = lines
        self.calls = 0

    async def __call__(self, timeout_ms: float) -> Reply:
        line = self._lines[min(self.calls, len(self._lines) - 1)]
        self.calls += 1
        if isinstance(line, Exception):
            raise line
        return line


@pytest.fixture
def make() -> Callable[..., Dependency]:
    def dependency(clock: FakeClock | None = None, slots: int = 4) -> Dependency:
        breaker = CircuitBreaker(monotonic_s=(clock or FakeClock()).monotonic_s)
        metrics = GatewayMetrics(ServiceMetrics("gateway"))
        return Dependency("ranking", 190, metrics, ConcurrencyLimit(slots, wait_ms=1), breaker)

    return dependency


def left(ms: float = 300) -> Deadline:
    return Deadline.after(ms)


@pytest.mark.parametrize("failure", [REFUSED, SHED])
async def test_a_broken_connection_or_a_retryable_503_is_repeated_once(
    make: Callable[..., Dependency], failure: Reply | Exception
) -> None:
    script = Script(failure, OK)
    assert (await make().call(script, left())).status == 200
    assert script.calls == 2


@pytest.mark.parametrize("failure", [LATE, Reply(500, b""), Reply(503, b"")])
async def test_nothing_else_is_repeated(make: Callable[..., Dependency], failure: Reply | Exception) -> None:
    script = Script(failure, OK)
    with pytest.raises((DependencyDownError, DependencyLateError)):
        await make().call(script, left())
    assert script.calls == 1


async def test_a_refusal_of_the_request_itself_is_an_answer_and_no_failure(make: Callable[..., Dependency]) -> None:
    dependency = make()
    for _ in range(40):
        assert (await dependency.call(Script(Reply(404, b"{}")), left())).status == 404
    assert dependency.breaker.state is BreakerState.CLOSED


async def test_at_most_one_retry_and_a_tenth_of_the_requests(make: Callable[..., Dependency]) -> None:
    # Shed calls, since they do not open the breaker, which would hide the missing budget.
    dependency, script = make(), Script(SHED)
    for _ in range(30):
        with pytest.raises(DependencyDownError):
            await dependency.call(script, left())
    assert 30 < script.calls <= 30 + 1 + 3


async def test_no_retry_when_less_time_is_left_than_a_call_usually_takes(make: Callable[..., Dependency]) -> None:
    dependency, script = make(), Script(REFUSED, OK)
    dependency._recent_ms.extend([100.0] * 10)
    with pytest.raises(DependencyDownError):
        await dependency.call(script, left(50))
    assert script.calls == 1


async def test_an_open_breaker_answers_at_once_and_lets_a_probe_through_after_two_seconds(
    make: Callable[..., Dependency],
) -> None:
    clock, script = FakeClock(), Script(REFUSED)
    dependency = make(clock)
    for _ in range(30):
        with pytest.raises(DependencyDownError):
            await dependency.call(script, left())
    assert script.calls <= 11
    clock.advance(2)
    healthy = Script(OK)
    await dependency.call(healthy, left())
    assert dependency.breaker.state is BreakerState.CLOSED


async def test_timeouts_of_impatient_callers_do_not_open_the_breaker_and_fair_ones_do(
    make: Callable[..., Dependency],
) -> None:
    dependency = make()
    for _ in range(30):
        with pytest.raises(DependencyLateError):
            await dependency.call(Script(LATE), left(20))
    assert dependency.breaker.state is BreakerState.CLOSED
    for _ in range(10):
        with pytest.raises(DependencyLateError):
            await dependency.call(Script(LATE), left(300))
    assert dependency.breaker.state is BreakerState.OPEN


async def test_a_service_that_sheds_load_does_not_open_the_breaker(make: Callable[..., Dependency]) -> None:
    dependency = make()
    for _ in range(40):
        with pytest.raises(DependencyDownError):
            await dependency.call(Script(SHED), left())
    assert dependency.breaker.state is BreakerState.CLOSED


async def test_calls_beyond_the_slots_are_turned_away_in_milliseconds(make: Callable[..., Dependency]) -> None:
    dependency = make(slots=1)

    async def slow(timeout_ms: float) -> Reply:
        await asyncio.sleep(0.05)
        return OK

    first = asyncio.create_task(dependency.call(slow, left()))
    await asyncio.sleep(0)
    with pytest.raises(DependencyBusyError):
        await dependency.call(slow, left())
    assert (await first).status == 200


async def test_a_call_whose_time_is_up_is_not_begun(make: Callable[..., Dependency]) -> None:
    script = Script(OK)
    with pytest.raises(DependencyLateError):
        await make().call(script, left(0))
    assert script.calls == 0


async def test_a_cancelled_probe_does_not_keep_the_breaker_open(make: Callable[..., Dependency]) -> None:
    clock = FakeClock()
    dependency = make(clock)
    for _ in range(10):
        dependency.breaker.failed()
    clock.advance(2)

    async def hang(timeout_ms: float) -> Reply:
        await asyncio.sleep(10)
        return OK

    probe = asyncio.create_task(dependency.call(hang, left()))
    await asyncio.sleep(0.01)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert (await dependency.call(Script(OK), left())).status == 200
