"""One child under supervision: what state it is in, and what to do about it now.

Called by   deploy/local/supervisor.py, some ten times a second
States      starting → ready → (ended or mute) waiting → starting ...; stopped before the first start and after the last
"""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deploy.local.child import Identity, Launch, launch, see_it_end, start_mark, stop
from deploy.local.state_file import ChildRecord

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
STEADY_S = 60.0
CHECK_EVERY_S = 5.0
# A process that is only busy, or halted for a moment by somebody, is not to be killed; one that is mute this long is.
MOST_MISSED_CHECKS = 6


class ChildState(StrEnum):
    """Where a child stands."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"
    """to be started again"""


@dataclass(frozen=True)
class ChildPlan:
    """How to run one child."""

    name: str
    port: int | None
    prepare: Callable[[], Launch]
    """called before every start; makes sure that nothing is in the way"""
    answers: Callable[[], bool]
    """whether it works; asked until it is ready, and every few seconds from then on"""
    is_store: bool = False
    """stores start first, by themselves if the services are not wanted"""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 20.0
    start_timeout_s: float = 60.0


class SupervisedChild:
    """The child and its history."""

    def __init__(self, plan: ChildPlan) -> None:
        self.plan = plan
        self.state = ChildState.STOPPED
        self.restarts = 0
        self.failed_starts = 0
        """in a row, before it was ever ready"""
        self.log_path = Path()
        self._child: subprocess.Popen[bytes] | None = None
        self._identity = Identity(0, "")
        self._started_at_s = 0.0
        """wall clock"""
        self._since = 0.0
        """monotonic, of the current state"""
        self._checked = 0.0
        self._missed_checks = 0
        self._wait_s = FIRST_WAIT_S

    def start(self) -> None:
        """Start it; whether that worked is seen by `tick`."""
        wanted = self.plan.prepare()
        self.log_path = wanted.log_path
        self._child = launch(wanted)
        self._identity = Identity(self._child.pid, start_mark(self._child.pid))
        self._started_at_s = time.time()
        self._missed_checks = 0
        self._enter(ChildState.STARTING)

    def tick(self) -> None:
        """Look at it, and start it again or give it up as needed."""
        if self.state is ChildState.WAITING and self._elapsed() > self._wait_s:
            self.restarts += 1
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
            self.start()
        elif self.state in (ChildState.STARTING, ChildState.READY):
            if self._child is None or self._child.poll() is not None:
                self._wait()
            elif self.state is ChildState.STARTING:
                self._check_start()
            elif time.monotonic() - self._checked > CHECK_EVERY_S:
                self._check_health()

    def ask_to_stop(self) -> None:
        """Send the signal that ends it in good order; `stop` waits for that."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(self.plan.stop_signal)

    def stop(self) -> None:
        """See that it ends, after `ask_to_stop`."""
        if self._child is not None:
            see_it_end(self._child, self.plan.stop_timeout_s)
        self._child = None
        self._enter(ChildState.STOPPED)

    def record(self) -> ChildRecord:
        """Return what others may know."""
        return ChildRecord(
            name=self.plan.name,
            port=self.plan.port,
            state=self.state.value,
            identity=self._identity if self._child is not None else Identity(0, ""),
            started_at_s=self._started_at_s,
            restarts=self.restarts,
            failed_starts=self.failed_starts,
            log_path=str(self.log_path),
            is_store=self.plan.is_store,
        )

    def _check_start(self) -> None:
        if self.plan.answers():
            self.failed_starts = 0
            self._checked = time.monotonic()
            self._enter(ChildState.READY)
        elif self._elapsed() > self.plan.start_timeout_s:
            self._wait()

    def _check_health(self) -> None:
        self._checked = time.monotonic()
        self._missed_checks = 0 if self.plan.answers() else self._missed_checks + 1
        if self._elapsed() > STEADY_S:
            self._wait_s = FIRST_WAIT_S
        if self._missed_checks >= MOST_MISSED_CHECKS:
            self._wait()

    def _wait(self) -> None:
        """End what is left of it, and wait before the next start."""
        if self.state is ChildState.STARTING:
            self.failed_starts += 1
        if self._child is not None:
            stop(self._child, signal.SIGKILL, timeout_s=0.0)
        self._child = None
        self._enter(ChildState.WAITING)

    def _enter(self, state: ChildState) -> None:
        self.state = state
        self._since = time.monotonic()

    def _elapsed(self) -> float:
        return time.monotonic() - self._since
