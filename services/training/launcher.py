"""Run the pipeline as a child process, one at a time, so that the service stays responsive and light.

Called by   services/training/routes.py (start), services/training/main.py (recover at start, stop at the end)
Child       `python -m services.training --run-id …`; it writes its own progress into training_runs, and ends by itself
            when its parent is gone. Its output goes to a log file for each run
Errors      RunActiveError when a run is going on
"""

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.training.errors import RunActiveError
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, Engine
from shared.storage.relational.runs import RunState, TrainingRun, create_run, get_run, list_runs, update_run
from shared.storage.relational.schema_version import require_schema

STOP_S = 10.0
CHILD_MODULE = "services.training"
STARTED_BY = "started_by"
SERVICE = "service"


@dataclass
class RunLauncher:
    """Starts and watches the child."""

    engine: Engine
    logs: Path
    command: Sequence[str] = (sys.executable, "-m", CHILD_MODULE)
    _active: str | None = field(default=None, init=False)
    _child: asyncio.subprocess.Process | None = field(default=None, init=False)
    _watcher: "asyncio.Task[None] | None" = field(default=None, init=False)

    @property
    def is_active(self) -> bool:
        """Return whether a run is going on."""
        return self._active is not None

    async def start(self, wishes: dict[str, Any]) -> TrainingRun:
        """Start a run; the answer is its row, waiting."""
        if self._active is not None:
            raise RunActiveError(f"run {self._active} is going on")
        run_id = uuid.uuid4().hex[:12]
        self._active = run_id
        try:
            run = await asyncio.to_thread(self._create, run_id, {**wishes, STARTED_BY: SERVICE})
            self._child = await self._spawn(run_id)
        except BaseException:
            self._active = None
            raise
        self._watcher = asyncio.create_task(self._watch(run_id, self._child))
        return run

    async def recover(self) -> None:
        """Mark runs that an earlier life of this service left behind; their checkpoints stay."""
        await asyncio.to_thread(self._fail_left_behind)

    async def stop(self) -> None:
        """End the child, if there is one."""
        if self._child is None or self._child.returncode is not None:
            return
        self._child.terminate()
        try:
            await asyncio.wait_for(self._child.wait(), STOP_S)
        except TimeoutError:
            self._child.kill()
        if self._watcher is not None:
            await self._watcher

    async def _spawn(self, run_id: str) -> asyncio.subprocess.Process:
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"training-run-{run_id}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *self.command, "--run-id", run_id, "--parent", str(os.getpid()), stdout=log, stderr=log
            )

    async def _watch(self, run_id: str, child: asyncio.subprocess.Process) -> None:
        code = await child.wait()
        # Postgres may be away just now; the row is put right when this service starts again.
        with contextlib.suppress(*STORAGE_DOWN_ERRORS):
            await asyncio.to_thread(self._close, run_id, code)
        self._active = None

    def _create(self, run_id: str, wishes: dict[str, Any]) -> TrainingRun:
        with self.engine.begin() as connection:
            return create_run(connection, run_id, wishes)

    def _close(self, run_id: str, code: int) -> None:
        """Give a run that could not say how it ended an end."""
        with self.engine.begin() as connection:
            run = get_run(connection, run_id)
            if run is not None and run.state in (RunState.QUEUED, RunState.RUNNING):
                reason = f"the training process ended with code {code}; see training-run-{run_id}.log"
                update_run(connection, run_id, state=RunState.FAILED, error=reason)

    def _fail_left_behind(self) -> None:
        with self.engine.begin() as connection:
            require_schema(connection)
            for run in list_runs(connection):
                unfinished = run.state in (RunState.QUEUED, RunState.RUNNING)
                # A run may have been asked for while this was waiting for Postgres.
                if unfinished and run.config.get(STARTED_BY) == SERVICE and run.run_id != self._active:
                    reason = "the training service ended; the next run goes on from the checkpoint"
                    update_run(connection, run.run_id, state=RunState.FAILED, error=reason)
