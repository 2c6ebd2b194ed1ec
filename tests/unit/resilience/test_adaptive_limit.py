"""The limit falls to what is answered in good time, and rises again when there is room."""

from contextlib import ExitStack

import pytest

from shared.resilience.adaptive_limit import LEAST, AdaptiveLimit
from shared.resilience.concurrency_limit import SaturatedError

TARGET_MS = 100


class Seconds:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def together(limit: AdaptiveLimit, seconds: Seconds, calls: int, each_ms: float) -> int:
    """Run calls at once that all take so long; return how many found a slot."""
    with ExitStack() as running:
        for number in range(calls):
            try:
                running.enter_context(limit.slot(str(number)))
            except SaturatedError:
                break
        begun = limit.in_flight
        seconds.now += each_ms / 1000
    return begun


def test_calls_that_are_late_because_there_are_many_leave_fewer_slots_and_good_time_brings_them_back() -> None:
    seconds = Seconds()
    limit = AdaptiveLimit(64, TARGET_MS, seconds)
    assert together(limit, seconds, 100, each_ms=90) == 64
    found = [together(limit, seconds, 100, each_ms=800) for _ in range(20)]
    assert found[0] == 64
    assert found[-1] == LEAST
    back = [together(limit, seconds, 100, each_ms=20) for _ in range(200)]
    assert back[-1] == 64


def test_it_settles_where_calls_are_in_good_time() -> None:
    seconds = Seconds()
    limit = AdaptiveLimit(64, TARGET_MS, seconds)
    # A machine that makes 150 a second: n at once take n x 6.7 ms.
    found = 64
    for _ in range(100):
        found = together(limit, seconds, 100, each_ms=found * 6.7)
    assert LEAST <= found <= 16


def test_a_call_too_many_is_refused() -> None:
    limit = AdaptiveLimit(1, TARGET_MS)
    with limit.slot("one"), pytest.raises(SaturatedError), limit.slot("another"):
        pass
    assert limit.in_flight == 0
    with limit.slot("another"):
        assert limit.is_full


def test_equal_calls_share_a_slot_until_the_last_of_them_has_ended() -> None:
    limit = AdaptiveLimit(1, TARGET_MS)
    with limit.slot("same"):
        with limit.slot("same"):
            assert limit.in_flight == 1
        assert limit.is_full
    assert limit.in_flight == 0


def test_in_a_crowd_calls_in_good_time_on_a_loop_that_is_behind_leave_fewer_slots_too() -> None:
    seconds = Seconds()
    behind = [True]
    limit = AdaptiveLimit(64, TARGET_MS, seconds, is_behind=lambda: behind[0])
    assert [together(limit, seconds, 64, each_ms=20) for _ in range(20)][-1] == 64
    for _ in range(100):
        limit.count_refused()
    assert together(limit, seconds, 64, each_ms=20) == 64
    assert together(limit, seconds, 100, each_ms=20) == LEAST
    behind[0] = False
    assert [together(limit, seconds, 100, each_ms=20) for _ in range(200)][-1] == 64


def test_a_slow_call_among_few_takes_no_slot_away() -> None:
    seconds = Seconds()
    limit = AdaptiveLimit(64, TARGET_MS, seconds)
    together(limit, seconds, int(LEAST), each_ms=5000)
    assert together(limit, seconds, 100, each_ms=20) == 64
