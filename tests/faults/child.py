"""One real process of a stack under test: started, killed, halted, ended in good order.

Called by   tests/faults/stack.py
Errors      AssertionError with the end of the process's log when it does not get ready
"""

import os
import signal
import subprocess
import time

import psutil

from deploy.local.child import launch, tail, wait_until
from deploy.local.supervised import ChildPlan


class Child:
    """The process of one plan, or of nothing when it is down."""

    def __init__(self, plan: ChildPlan) -> None:
        self.plan = plan
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Return whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> psutil.Process:
        """Return it for its memory and descriptors."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def start(self) -> float:
        """Start it and wait until it answers; return how many seconds that took."""
        begun_s = time.monotonic()
        wanted = self.plan.prepare()
        self._process = launch(wanted)
        ready = wait_until(self.plan.answers, self._process, self.plan.start_timeout_s)
        assert ready, f"{self.plan.name} did not start:\n{tail(wanted.log_path)}"
        return time.monotonic() - begun_s

    def kill(self) -> None:
        """End it, and what it started, without a word of warning."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def ask_to_stop(self) -> None:
        """Send what a supervisor sends first."""
        assert self._process is not None
        self._process.send_signal(self.plan.stop_signal)

    def ended(self, timeout_s: float) -> int:
        """Return the exit code of a process that was asked to stop."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def stop(self) -> None:
        """End it in good order, at the end of the stack."""
        if self.is_running:
            self.ask_to_stop()
            try:
                self.ended(self.plan.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
