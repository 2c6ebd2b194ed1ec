"""One child of the launcher: started tied to its parent's life, recognised later, and stopped for certain.

Called by   deploy/local/{postgres,valkey,supervisor}.py
Orphans     Linux sends the child `death_signal` when its parent dies, however it dies (PR_SET_PDEATHSIG). Where that
            does not exist, and as a second line, the pid is kept in a file together with the start time of the process,
            so the next start finds a survivor and never mistakes a stranger with a reused pid for it
Errors      OSError when the program cannot be started
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
CHECK_EVERY_S = 0.02
MAX_LOG_BYTES = 50_000_000


@dataclass(frozen=True)
class Account:
    """A user of the operating system, by number."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Launch:
    """How to start a program."""

    command: list[str]
    log_path: Path
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    """may hold passwords"""
    death_signal: signal.Signals
    account: Account | None = None
    """run as this user instead of our own"""


@dataclass(frozen=True)
class Identity:
    """A process that can be told from a later one with the same pid."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        """Return whether exactly this process still runs."""
        return bool(self.started) and start_mark(self.pid) == self.started


def start_mark(pid: int) -> str:
    """Return what stays the same while a process lives and differs for a later one; empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # Fields 3 and 22 of proc(5): state, and start time in clock ticks since boot.
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return _start_mark_of_ps(pid) if not Path("/proc/self/stat").exists() else ""


def _start_mark_of_ps(pid: int) -> str:
    return subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()


def launch(wanted: Launch) -> "subprocess.Popen[bytes]":
    """Start the program in a session of its own, its output appended to the log."""
    wanted.log_path.parent.mkdir(parents=True, exist_ok=True)
    if wanted.log_path.exists() and wanted.log_path.stat().st_size > MAX_LOG_BYTES:
        wanted.log_path.replace(wanted.log_path.with_suffix(".old.log"))
    with wanted.log_path.open("ab") as log:
        return subprocess.Popen(
            wanted.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=wanted.cwd,
            env=dict(wanted.env),
            start_new_session=True,
            # Runs after the change of user, which would clear the death signal (prctl(2)).
            preexec_fn=_tie_to_parent(wanted.death_signal),
            user=wanted.account.uid if wanted.account else None,
            group=wanted.account.gid if wanted.account else None,
            extra_groups=[] if wanted.account else None,
        )


def _tie_to_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return tie


def stop(child: "subprocess.Popen[bytes]", stop_signal: signal.Signals, timeout_s: float) -> int:
    """Ask the child to end and see that it does; return its exit status."""
    if child.poll() is None:
        child.send_signal(stop_signal)
    return see_it_end(child, timeout_s)


def see_it_end(child: "subprocess.Popen[bytes]", timeout_s: float) -> int:
    """Wait for a child that was asked to end, kill it when it is late, and what it left behind."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout_s)
    _kill_session(child.pid)
    return child.wait()


def stop_survivor(survivor: Identity, stop_signal: signal.Signals, timeout_s: float) -> bool:
    """End a process of an earlier launcher, and what it started, if they still run; return whether it did itself."""
    if not survivor.is_alive():
        if survivor.started and not start_mark(survivor.pid):
            # No pid is given anew while it names a process group: what is left in the group is its children.
            _kill_session(survivor.pid)
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(survivor.pid, stop_signal)
    give_up_at = time.monotonic() + timeout_s
    while survivor.is_alive():
        if time.monotonic() > give_up_at:
            _kill_session(survivor.pid)
        time.sleep(CHECK_EVERY_S)
    return True


def _kill_session(pid: int) -> None:
    """Kill the child and whatever it started: a child leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def wait_until(is_ready: Callable[[], bool], child: "subprocess.Popen[bytes]", timeout_s: float) -> bool:
    """Wait for a child to be ready; False when it ended or the time is up first."""
    give_up_at = time.monotonic() + timeout_s
    while child.poll() is None and time.monotonic() < give_up_at:
        if is_ready():
            return True
        time.sleep(CHECK_EVERY_S)
    return False


def tail(path: Path, lines: int = 12) -> str:
    """Return the last lines of a log."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
