"""Training runs and how far they are.

Called by   services/training (writes, GET /runs/{id})
Errors      sqlalchemy.exc.DBAPIError
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from shared.storage.relational.tables import training_runs


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class TrainingRun:
    """One run."""

    run_id: str
    state: RunState
    step: str
    """what it does now, in words"""
    progress: float
    """0 to 1"""
    config: dict[str, Any]
    metrics: dict[str, Any]
    error: str | None
    version: str | None
    """the bundle it made"""
    created_at: datetime
    updated_at: datetime


def create_run(connection: Connection, run_id: str, config: dict[str, Any]) -> TrainingRun:
    """Add a run that waits; IntegrityError when the id is taken."""
    created = connection.execute(
        insert(training_runs)
        .values(run_id=run_id, state=RunState.QUEUED, step="waiting", progress=0.0, config=config)
        .returning(training_runs)
    ).one()
    return _run(created)


def update_run(connection: Connection, run_id: str, **changes: Any) -> None:
    """Change columns of a run: state, step, progress, metrics, error, version."""
    connection.execute(
        update(training_runs).where(training_runs.c.run_id == run_id).values(**changes, updated_at=func.now())
    )


def get_run(connection: Connection, run_id: str) -> TrainingRun | None:
    """Return one run."""
    found = connection.execute(select(training_runs).where(training_runs.c.run_id == run_id)).first()
    return None if found is None else _run(found)


def list_runs(connection: Connection, limit: int = 50) -> list[TrainingRun]:
    """Return the newest runs, newest first."""
    newest = select(training_runs).order_by(training_runs.c.created_at.desc()).limit(limit)
    return [_run(row) for row in connection.execute(newest)]


def _run(row: Row[Any]) -> TrainingRun:
    return TrainingRun(**{**row._mapping, "state": RunState(row.state)})
