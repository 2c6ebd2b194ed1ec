"""How a training run says where it is: step, share done, rate and time left.

Called by   every long step of services/training; the `aisle train` command draws it, the training service stores it
Time        through a clock that the caller gives, so that tests need not wait
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

Clock = Callable[[], float]


@dataclass(frozen=True)
class Progress:
    """One report."""

    step: str
    done: float
    total: float
    unit: str
    rate_per_s: float
    eta_s: float | None
    note: str = ""


Report = Callable[[Progress], None]


def quiet(progress: Progress) -> None:
    """Report nothing."""


def under(prefix: str, report: Report) -> Report:
    """Return a report whose steps are named "<prefix>: <step>"."""
    return lambda progress: report(replace(progress, step=f"{prefix}: {progress.step}"))


@dataclass
class StepProgress:
    """Counts one step's work and reports it, at most every `every_s` seconds and at its end."""

    step: str
    total: float
    unit: str
    report: Report = quiet
    every_s: float = 0.2
    clock: Clock = time.monotonic
    done: float = 0.0
    _started_s: float = field(init=False)
    _reported_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._started_s = self._reported_s = self.clock()
        self._send("")

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        """Count work done."""
        self.done += amount
        if self.done >= self.total or self.clock() - self._reported_s >= self.every_s:
            self._send(note)

    def finish(self, note: str = "") -> None:
        """Say that the step is done, also when it ended early."""
        self.done = self.total
        self._send(note)

    def _send(self, note: str) -> None:
        self._reported_s = self.clock()
        elapsed_s = self._reported_s - self._started_s
        rate = self.done / elapsed_s if elapsed_s > 0 else 0.0
        eta_s = (self.total - self.done) / rate if rate > 0 else None
        self.report(Progress(self.step, self.done, self.total, self.unit, rate, eta_s, note))
