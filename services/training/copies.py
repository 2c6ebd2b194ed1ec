"""Copies of this process that work beside it, each on a core of its own: what they work on is shared, not sent.

Called by   services/training/asking.py (a share of the questions each), services/training/pipeline.py (a later step)
Fork        a copy starts with the log, the catalogue and the model of its parent in milliseconds; only what it finds
            travels, through one pipe. It may not use torch: threads are not copied. Where a fork is not safe (macOS)
            there are no copies, and callers do the work themselves
Orphans     a copy whose parent is gone ends with the next thing it finds: nobody can read it
Errors      PartFailedError when a copy ended early; what it raised is on stderr
"""

import gc
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Generic, TypeVar

from services.training.errors import PartFailedError

Found = TypeVar("Found")
POSSIBLE = sys.platform == "linux"


class Copy(Generic[Found]):
    """One copy, at work from the start to the end of the `with` block."""

    def __init__(self, work: Callable[[], Iterable[Found]]) -> None:
        context = multiprocessing.get_context("fork")
        self._found, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_send_all, args=(work, theirs), daemon=True)
        self._process.start()
        theirs.close()  # or the end of the copy would not end the pipe

    def __enter__(self) -> "Copy[Found]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._found.close()
        self._process.kill()
        self._process.join()

    def next(self) -> Found:
        """Wait for the next thing that the copy finds."""
        try:
            found: Found = self._found.recv()
        except EOFError:
            raise PartFailedError("a process that did a part of the work ended early: out of memory?") from None
        return found


def _send_all(work: Callable[[], Iterable[Found]], theirs: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt ends the parent, which ends its copies
    gc.disable()  # a collection would write to every object, and a page that is written to is no longer shared
    for found in work():
        try:
            theirs.send(found)
        except BrokenPipeError:
            return
