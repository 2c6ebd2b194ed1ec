"""Concurrent questions are gathered for one engine, the most urgent first, and none is lost."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from services.ranking.micro_batcher import MicroBatcher, TooLateError
from shared.resilience.deadline import Deadline


class Engine:
    """Doubles numbers; works only while it is let, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.let = threading.Event()

    def __call__(self, asked: Sequence[int]) -> list[int]:
        self.batches.append(list(asked))
        self.let.wait(5)
        if 13 in asked:
            raise ZeroDivisionError("13")
        return [2 * number for number in asked]


def soon(ms: float = 5000) -> Deadline:
    return Deadline.after(ms)


async def asked_while_busy(
    engine: Engine, batcher: MicroBatcher[int, int], questions: Sequence[tuple[int, Deadline]]
) -> list[int | BaseException]:
    """Ask one question, wait until the engine works at it, then ask the others and let the engine go on."""
    first = asyncio.create_task(batcher.ask(0, soon()))
    while not engine.batches:
        await asyncio.sleep(0.001)
    others = [asyncio.create_task(batcher.ask(question, deadline)) for question, deadline in questions]
    await asyncio.sleep(0.02)
    engine.let.set()
    answers = await asyncio.gather(*others, return_exceptions=True)
    assert await first == 0
    batcher.close()
    return answers


async def test_what_arrives_while_the_engine_works_is_the_next_batch() -> None:
    engine = Engine()
    answers = await asked_while_busy(engine, MicroBatcher(engine, 8), [(number, soon()) for number in (1, 2, 3)])
    assert answers == [2, 4, 6]
    assert engine.batches == [[0], [1, 2, 3]]


async def test_the_most_urgent_go_first_when_a_batch_is_full() -> None:
    engine = Engine()
    questions = [(1, soon(3000)), (2, soon(1000)), (3, soon(2000))]
    assert await asked_while_busy(engine, MicroBatcher(engine, 2), questions) == [2, 4, 6]
    assert engine.batches == [[0], [2, 3], [1]]


async def test_a_question_whose_deadline_passed_in_the_queue_is_told_so_and_never_asked() -> None:
    engine = Engine()
    late, good = await asked_while_busy(engine, MicroBatcher(engine, 8), [(1, soon(5)), (2, soon())])
    assert isinstance(late, TooLateError)
    assert good == 4
    assert engine.batches == [[0], [2]]


async def test_an_engine_that_breaks_fails_its_batch_only() -> None:
    engine = Engine()
    broken, fine = await asked_while_busy(engine, MicroBatcher(engine, 1), [(13, soon(1000)), (4, soon(2000))])
    assert isinstance(broken, ZeroDivisionError)
    assert fine == 8


async def test_a_request_that_was_given_up_is_not_asked() -> None:
    engine = Engine()
    batcher = MicroBatcher(engine, 8)
    first = asyncio.create_task(batcher.ask(0, soon()))
    while not engine.batches:
        await asyncio.sleep(0.001)
    gone = asyncio.create_task(batcher.ask(1, soon()))
    await asyncio.sleep(0)
    gone.cancel()
    engine.let.set()
    assert await first == 0
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await batcher.ask(5, soon()) == 10
    assert engine.batches == [[0], [5]]
    batcher.close()
