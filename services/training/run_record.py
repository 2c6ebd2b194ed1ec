"""Keep a run's row in training_runs: what it does, how far it is, how it ended.

Called by   services/training/__main__.py, the `aisle train` command
Progress    one number from 0 to 1 over all steps, by the share of time that each step took on the demo data
Writes      at most one a second; a write that fails while Postgres is away is left out, since the next one says more
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.training.progress import Progress
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine
from shared.storage.relational.runs import RunState, update_run

WRITE_EVERY_S = 1.0
EPOCH = "sequence epoch "
SHARES = {
    "read and clean": 0.03,
    EPOCH: 0.63,
    "collaborative tables": 0.14,
    "refit: collaborative tables": 0.01,
    "sentences": 0.0,
    "export and encode": 0.03,
    "fusion: candidates": 0.02,
    "fusion: weights": 0.02,
    "evaluation": 0.07,
    "serving model: evaluation": 0.0,
    "refit: sequence epoch 1": 0.03,
    "refit: export and encode": 0.02,
}


@dataclass
class RunRecord:
    """One run's row; `report` is given to the pipeline."""

    engine: Engine
    run_id: str
    epochs: int
    clock: Callable[[], float] = time.monotonic
    _written_s: float = field(default=-WRITE_EVERY_S, init=False)
    _done: float = field(default=0.0, init=False)

    def begin(self) -> None:
        """The run has started."""
        self._write(state=RunState.RUNNING, step="starting")

    def report(self, progress: Progress) -> None:
        """Take a report of the pipeline."""
        self._done = max(self._done, overall(progress, self.epochs))
        if self.clock() - self._written_s < WRITE_EVERY_S:
            return
        self._written_s = self.clock()
        step = f"{progress.step}, {progress.note}" if progress.note else progress.step
        try:
            self._write(step=step, progress=round(self._done, 4))
        except STORAGE_DOWN_ERRORS:
            return

    def succeed(self, version: str, summary: str, metrics: dict[str, Any]) -> None:
        """The run has published a model."""
        self._write(state=RunState.SUCCEEDED, step=summary, progress=1.0, metrics=metrics, version=version)

    def fail(self, reason: str) -> None:
        """The run has ended without a model."""
        self._write(state=RunState.FAILED, error=reason)

    def _write(self, **changes: Any) -> None:
        with self.engine.begin() as connection:
            update_run(connection, self.run_id, **changes)


def overall(progress: Progress, epochs: int) -> float:
    """Return how far the whole run is, from a report of one of its steps."""
    done = min(progress.done / progress.total, 1.0) if progress.total else 1.0
    before = 0.0
    for name, share in SHARES.items():
        if name == EPOCH and progress.step.startswith(EPOCH):
            return before + share * min((int(progress.step.removeprefix(EPOCH)) - 1 + done) / max(epochs, 1), 1.0)
        if name == progress.step:
            return before + share * done
        before += share
    return 0.0
