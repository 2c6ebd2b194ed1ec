"""How many questions are put to a recommender: on all cores, by copies of this process, answered in their order.

Called by   services/training/fusion/examples.py, services/training/evaluation/offline.py
Equal       an answer does not depend on the number of processes: matrix products have one thread either way
Errors      PartFailedError when a process ended early
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from services.training import copies
from services.training.copies import Copy
from services.training.examples.queries import Question
from services.training.progress import Report, StepProgress, quiet

Answer = TypeVar("Answer")
LEAST_SHARE = 50
"""questions of a process: with fewer, its start takes longer than it saves"""


@dataclass(frozen=True)
class Asking:
    """How many candidates each source brings, how many processes ask, and who hears how far they are."""

    per_source: int
    processes: int = 1
    report: Report = quiet

    def each(self, step: str, ask: Callable[[Question], Answer], questions: Sequence[Question]) -> Iterator[Answer]:
        """Yield the answer to each question, in order; `ask` may not use torch (copies.py)."""
        progress = StepProgress(step, len(questions), "questions", self.report)
        processes = min(self.processes, len(questions) // LEAST_SHARE) if copies.POSSIBLE else 1
        with threadpool_limits(1, user_api="blas"):
            for answer in map(ask, questions) if processes < 2 else _shared_out(ask, questions, processes):
                yield answer
                progress.advance()


def _shared_out(ask: Callable[[Question], Answer], questions: Sequence[Question], processes: int) -> Iterator[Answer]:
    """Yield the answers; process p of P answers questions p, p + P, p + 2P and so on."""
    with ExitStack() as closing:
        shares: Iterable[Sequence[Question]] = (questions[place::processes] for place in range(processes))
        asked: list[Copy[Answer]] = [closing.enter_context(Copy(partial(map, ask, share))) for share in shares]
        for place in range(len(questions)):
            yield asked[place % processes].next()
