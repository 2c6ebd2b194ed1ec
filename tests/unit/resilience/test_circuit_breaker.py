import pytest

from shared.resilience.circuit_breaker import BreakerState, CircuitBreaker
from tests.fakes import FakeClock


def breaker_that_failed(times: int, clock: FakeClock) -> CircuitBreaker:
    breaker = CircuitBreaker(monotonic_s=clock.monotonic_s)
    for _ in range(times):
        assert breaker.allow()
        breaker.failed()
    return breaker


def test_nine_failures_leave_it_closed_and_the_tenth_of_twenty_opens_it() -> None:
    clock = FakeClock()
    breaker = breaker_that_failed(9, clock)
    assert breaker.state is BreakerState.CLOSED
    breaker.failed()
    assert breaker.state is BreakerState.OPEN
    assert not breaker.allow()


def test_failures_older_than_the_last_twenty_calls_are_forgotten() -> None:
    breaker = breaker_that_failed(9, FakeClock())
    for _ in range(20):
        breaker.succeeded()
    breaker.failed()
    assert breaker.state is BreakerState.CLOSED


def test_after_two_seconds_exactly_one_probe_passes() -> None:
    clock = FakeClock()
    breaker = breaker_that_failed(10, clock)
    clock.advance(1.9)
    assert not breaker.allow()
    clock.advance(0.1)
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.allow()
    assert not breaker.allow()


def test_a_probe_that_succeeds_closes_it_with_a_clean_slate() -> None:
    clock = FakeClock()
    breaker = breaker_that_failed(10, clock)
    clock.advance(2)
    assert breaker.allow()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    for _ in range(9):
        breaker.failed()
    assert breaker.allow()


def test_a_probe_that_fails_opens_it_for_two_seconds_more() -> None:
    clock = FakeClock()
    breaker = breaker_that_failed(10, clock)
    clock.advance(2)
    assert breaker.allow()
    breaker.failed()
    clock.advance(1.9)
    assert not breaker.allow()
    clock.advance(0.1)
    assert breaker.allow()


def test_an_abandoned_probe_lets_another_one_through() -> None:
    clock = FakeClock()
    breaker = breaker_that_failed(10, clock)
    clock.advance(2)
    assert breaker.allow()
    breaker.abandoned()
    assert breaker.allow()


def test_calls_that_began_before_it_opened_do_not_close_it() -> None:
    clock = FakeClock()
    breaker = breaker_that_failed(10, clock)
    breaker.succeeded()
    assert breaker.state is BreakerState.OPEN


def test_an_attempt_counts_what_its_block_did() -> None:
    breaker = CircuitBreaker(window=2, monotonic_s=FakeClock().monotonic_s)
    with breaker.attempt(OSError):
        pass
    with pytest.raises(KeyError), breaker.attempt(OSError):
        raise KeyError
    assert breaker.state is BreakerState.CLOSED
    with pytest.raises(ConnectionError), breaker.attempt(OSError):
        raise ConnectionError
    assert breaker.state is BreakerState.OPEN
