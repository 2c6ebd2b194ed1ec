"""Measure one row in a process of its own, so that its memory is its own and its time can be bounded.

Called by   __main__.py
Start       spawn, one row at a time; the threads of numeric libraries are set before they are loaded
Ends        NotRun with the reason when the row refuses the data (TrainingError) or the time is over; any other error of
            the row ends the run with the row's traceback
"""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.quality.measure import Limits, Measured, measure
from benchmarks.quality.models import row_named
from benchmarks.quality.protocols import Benchmark
from services.training.errors import TrainingError
from services.training.progress import Progress

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
REPORT_EVERY_S = 15.0
GRACE_S = 30.0
"""what a row may take beyond the deadline, for its evaluation"""


@dataclass(frozen=True)
class NotRun:
    """A row without numbers."""

    model: str
    reason: str


class RowFailedError(Exception):
    """A defect of a row; the text is its traceback."""


def run_row(name: str, benchmark: Benchmark, limits: Limits, tell: Callable[[str], None]) -> Measured | NotRun:
    """Return what the row's process found."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(benchmark.task.threads)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(name, benchmark, limits, theirs))
    process.start()
    theirs.close()
    try:
        return _listen(name, ours, limits, tell)
    finally:
        process.kill()
        process.join()


def _listen(name: str, ours: Connection, limits: Limits, tell: Callable[[str], None]) -> Measured | NotRun:
    while True:
        left_s = limits.deadline_s + GRACE_S - time.time()
        if left_s <= 0 or not ours.poll(min(left_s, 3600.0)):
            if left_s > 3600.0:
                continue
            return NotRun(name, "BUDGET_MINUTES ran out while it was fitted")
        try:
            kind, content = ours.recv()
        except EOFError:
            raise RowFailedError(f"the process of {name} ended without a word: out of memory?") from None
        if kind == "progress":
            tell(content)
        elif kind == "failed":
            raise RowFailedError(content)
        else:
            answer: Measured | NotRun = content
            return answer


def _work(name: str, benchmark: Benchmark, limits: Limits, theirs: Connection) -> None:
    try:
        theirs.send(("done", measure(row_named(name), benchmark, limits, Teller(theirs))))
    except TrainingError as error:
        theirs.send(("done", NotRun(name, str(error))))
    except Exception:  # noqa: BLE001 - the edge of a process
        theirs.send(("failed", traceback.format_exc()))


class Teller:
    """Sends progress to the parent, not too often."""

    def __init__(self, theirs: Connection) -> None:
        self._theirs, self._told_s = theirs, 0.0

    def __call__(self, progress: Progress) -> None:
        """Send one line, if the last was sent a while ago."""
        if time.monotonic() - self._told_s < REPORT_EVERY_S:
            return
        self._told_s = time.monotonic()
        done: Any = f"{progress.done:,.0f} of {progress.total:,.0f} {progress.unit}"
        self._theirs.send(("progress", f"{progress.step}: {done} {progress.note}"))
