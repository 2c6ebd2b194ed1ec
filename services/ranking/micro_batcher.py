"""Gather what concurrent requests ask of one engine, and ask it once for all of them.

Called by   services/ranking/prepare.py; benchmarks/gpu
How         an idle engine is asked at once; what arrives while it works is the next batch. So nobody waits for company,
            and batches grow by themselves with the load
Order       by deadline: who must answer first is in the next batch, whoever came before
Errors      TooLateError for a question whose deadline passed while it waited; what the engine raises goes to every
            question of that batch, and the next batch is asked all the same
Threads     the engine runs in one thread of its own: the event loop goes on serving meanwhile
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from shared.resilience.deadline import Deadline

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class TooLateError(Exception):
    """The deadline passed before the engine could be asked."""


@dataclass(order=True)
class Waiting(Generic[Question, Answer]):
    """A question in the queue."""

    expires_s: float
    place: int
    """equal deadlines keep the order of arrival"""
    deadline: Deadline = field(compare=False)
    question: Question = field(compare=False)
    answer: "asyncio.Future[Answer]" = field(compare=False)


class MicroBatcher(Generic[Question, Answer]):
    """A queue in front of an engine. Belongs to one event loop."""

    def __init__(self, engine: Callable[[Sequence[Question]], Sequence[Answer]], largest: int) -> None:
        self._engine, self._largest = engine, largest
        self._queue: list[Waiting[Question, Answer]] = []
        self._places = itertools.count()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="micro-batch")
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: Question, deadline: Deadline) -> Answer:
        """Return the engine's answer."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, Waiting(deadline.expires_s, next(self._places), deadline, question, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    def close(self) -> None:
        """End the engine's thread when it has answered."""
        self._thread.shutdown(wait=True)

    async def _work(self) -> None:
        """Ask batch after batch until nobody waits."""
        while batch := self._next_batch():
            asked = [waiting.question for waiting in batch]
            try:
                answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._engine, asked)
            # The edge of the engine: whatever breaks in it is each request's own error, and the queue goes on.
            except Exception as error:  # noqa: BLE001
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                continue
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)

    def _next_batch(self) -> list[Waiting[Question, Answer]]:
        """Take the most urgent questions; the late ones are told so, the cancelled ones forgotten."""
        batch: list[Waiting[Question, Answer]] = []
        while self._queue and len(batch) < self._largest:
            waiting = heapq.heappop(self._queue)
            if waiting.answer.done():
                continue
            if waiting.deadline.expired:
                waiting.answer.set_exception(TooLateError())
            else:
                batch.append(waiting)
        return batch
