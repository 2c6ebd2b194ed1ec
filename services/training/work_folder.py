"""The folder of an install's training runs: one run at a time works in it.

Called by   services/training/run.py
Lock        of the operating system, so that it ends with the process that holds it, however that ends
Errors      RunActiveError when another process works in the folder
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.training.errors import RunActiveError

LOCK = "run.lock"


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunActiveError("another training run of this install is going on") from None
        yield
