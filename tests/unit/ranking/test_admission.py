"""The queue in front of the computation: in order, one at a time, and nothing begun that would be late."""

import asyncio
import time
from itertools import pairwise

import pytest

from services.ranking.admission import FIRST_GUESS_MS, Admission, WouldBeLateError
from services.ranking.metrics import RankingMetrics
from shared.resilience.deadline import Deadline

LONG_MS = 60_000.0


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s


def test_turns_are_taken_in_order_of_arrival(metrics: RankingMetrics) -> None:
    order: list[int] = []

    async def work(admission: Admission, number: int) -> None:
        async with admission.turn(Deadline.after(LONG_MS)):
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

    async def run() -> None:
        admission = Admission(metrics)
        await asyncio.gather(*(work(admission, number) for number in range(5)))

    asyncio.run(run())
    assert order == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


async def test_the_loop_turns_to_others_between_two_computations_that_were_ready_together(
    metrics: RankingMetrics,
) -> None:
    admission, order = Admission(metrics), list[str]()

    async def work() -> None:
        async with admission.turn(Deadline.after(LONG_MS)):
            order.append("computed")

    async def others() -> None:
        while order.count("computed") < 4:
            order.append("turned")
            await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(4)), others())
    assert all(pair != ("computed", "computed") for pair in pairwise(order))


async def test_request_with_too_little_time_is_refused_at_once(metrics: RankingMetrics) -> None:
    admission = Admission(metrics)
    with pytest.raises(WouldBeLateError):
        async with admission.turn(Deadline.after(FIRST_GUESS_MS / 2)):
            pytest.fail("late work was begun")
    assert metrics.refused.labels("queued")._value.get() == 1


async def test_request_behind_a_long_queue_is_refused_while_those_before_it_are_answered(
    metrics: RankingMetrics,
) -> None:
    clock = Clock()
    admission = Admission(metrics, clock.monotonic_s)

    async def work() -> str:
        try:
            async with admission.turn(Deadline.after(2.5 * FIRST_GUESS_MS, clock.monotonic_s)):
                clock.now_s += FIRST_GUESS_MS / 1000
                return "answered"
        except WouldBeLateError:
            return "refused"

    assert await asyncio.gather(*(work() for _ in range(4))) == ["answered", "answered", "refused", "refused"]


async def test_request_whose_turn_comes_too_late_is_not_begun(metrics: RankingMetrics) -> None:
    clock = Clock()
    admission = Admission(metrics, clock.monotonic_s)
    begun: list[str] = []

    async def work(name: str, takes_ms: float) -> None:
        async with admission.turn(Deadline.after(20, clock.monotonic_s)):
            begun.append(name)
            clock.now_s += takes_ms / 1000

    results = await asyncio.gather(work("slow", 19), work("late", 1), return_exceptions=True)
    assert begun == ["slow"]
    assert isinstance(results[1], WouldBeLateError)


async def test_one_slow_computation_does_not_shut_the_door_for_good(metrics: RankingMetrics) -> None:
    admission = Admission(metrics)
    admission.expected_ms = 1000.0
    for _ in range(100):
        try:
            async with admission.turn(Deadline.after(190)):
                break
        except WouldBeLateError:
            continue
    else:
        pytest.fail("never admitted again")


async def test_failed_work_frees_its_turn(metrics: RankingMetrics) -> None:
    admission = Admission(metrics)
    with pytest.raises(ZeroDivisionError):
        async with admission.turn(Deadline.after(LONG_MS)):
            raise ZeroDivisionError
    began_s = time.monotonic()
    async with asyncio.timeout(1), admission.turn(Deadline.after(LONG_MS)):
        assert time.monotonic() - began_s < 1
