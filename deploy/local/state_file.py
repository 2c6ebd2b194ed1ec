"""What runs, in a file: for `status` and `down`, and for the next start after a crash.

Called by   deploy/local/supervisor.py (writes), deploy/local/main.py (reads)
Lock        one supervisor for each home: it holds a lock on a file beside this one, which the kernel frees at its death
Errors      AlreadyRunningError
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from deploy.local.child import Identity, start_mark


class AlreadyRunningError(RuntimeError):
    """Another supervisor holds this home."""


@dataclass(frozen=True)
class ChildRecord:
    """How one child stands."""

    name: str
    port: int | None
    state: str
    """a ChildState"""
    identity: Identity
    started_at_s: float
    """wall clock, seconds since 1970"""
    restarts: int
    failed_starts: int
    log_path: str
    is_store: bool


@dataclass(frozen=True)
class StackRecord:
    """How the stack stands; children in the order of their start."""

    supervisor: Identity
    with_services: bool
    tables_ready: bool
    """the database is up to date"""
    error: str | None
    children: tuple[ChildRecord, ...]


@cache
def own_identity() -> Identity:
    """Return this process."""
    return Identity(os.getpid(), start_mark(os.getpid()))


class StateFile:
    """The file of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._folder = home / "run"

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._folder / "state.json"

    def write(self, record: StackRecord) -> None:
        """Replace the file, in one step."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._folder, delete=False) as file:
            json.dump(asdict(record), file, indent=1)
        os.replace(file.name, self.path)

    def read(self) -> StackRecord | None:
        """Return what was written last, None when there is nothing that can be read."""
        try:
            values = json.loads(self.path.read_text())
            children = [
                ChildRecord(**{**child, "identity": Identity(**child["identity"])}) for child in values["children"]
            ]
            return StackRecord(
                supervisor=Identity(**values["supervisor"]),
                with_services=values["with_services"],
                tables_ready=values.get("tables_ready", False),
                error=values.get("error"),
                children=tuple(children),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock of the only supervisor of this home."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(f"a supervisor is running already on {self._folder.parent}") from None
            yield
