from shared.resilience.deadline import Deadline
from tests.fakes import FakeClock


def test_a_deadline_counts_down_and_never_below_zero() -> None:
    clock = FakeClock()
    deadline = Deadline.after(300, clock.monotonic_s)
    assert round(deadline.remaining_ms()) == 300
    clock.advance(0.25)
    assert round(deadline.remaining_ms()) == 50
    assert not deadline.expired
    clock.advance(1)
    assert deadline.remaining_ms() == 0
    assert deadline.expired


def test_a_call_gets_its_own_timeout_or_what_is_left() -> None:
    clock = FakeClock()
    deadline = Deadline.after(100, clock.monotonic_s)
    assert deadline.cap_ms(40) == 40
    clock.advance(0.08)
    assert round(deadline.cap_ms(40)) == 20
