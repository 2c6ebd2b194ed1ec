"""Which model bundles exist, and the one pointer that says which serves.

Called by   services/training (publish: files first, then register, then promote), services/ranking (polls `current`),
            services/command/rollback_command.py (points back)
Pointer     moves by compare-and-set: of two publishers that saw the same version one wins and the other learns it
Errors      sqlalchemy.exc.DBAPIError; IntegrityError when a version is promoted that was never registered is avoided by
            `promote` returning False
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.storage.relational.tables import model_pointer, model_versions

POINTER = "current"


@dataclass(frozen=True)
class ModelVersion:
    """One bundle in the registry."""

    version: str
    bundle_url: str
    """fsspec URL of the bundle's folder"""
    manifest: dict[str, Any]
    metrics: dict[str, Any]
    gate: dict[str, Any]
    """the promotion gate's verdict, in words"""
    created_at: datetime | None = None
    """set by the registry"""


def register(connection: Connection, model: ModelVersion) -> None:
    """Add a version whose files are in place; a version that is known stays as it is."""
    values = {
        "version": model.version,
        "bundle_url": model.bundle_url,
        "manifest": model.manifest,
        "metrics": model.metrics,
        "gate": model.gate,
    }
    connection.execute(insert(model_versions).values(**values).on_conflict_do_nothing())


def promote(connection: Connection, version: str, expected: str | None) -> bool:
    """Point at a registered version if the pointer still says `expected` (None: at nothing yet); return whether."""
    is_registered = select(model_versions.c.version).where(model_versions.c.version == version).exists()
    moved = connection.execute(
        update(model_pointer)
        .where(model_pointer.c.name == POINTER, model_pointer.c.version.is_not_distinct_from(expected), is_registered)
        .values(version=version, previous_version=model_pointer.c.version, changed_at=func.now())
    )
    return moved.rowcount == 1


@dataclass(frozen=True)
class Pointer:
    """Which version serves, and which one did before."""

    version: str | None
    previous_version: str | None


def read_pointer(connection: Connection) -> Pointer:
    """Return the pointer; both are None before the first model."""
    row = connection.execute(select(model_pointer).where(model_pointer.c.name == POINTER)).one()
    return Pointer(row.version, row.previous_version)


def current(connection: Connection) -> ModelVersion | None:
    """Return the version that serves, None before the first."""
    found = connection.execute(
        select(model_versions)
        .join(model_pointer, model_pointer.c.version == model_versions.c.version)
        .where(model_pointer.c.name == POINTER)
    ).first()
    return None if found is None else _model(found)


def get_version(connection: Connection, version: str) -> ModelVersion | None:
    """Return one version."""
    found = connection.execute(select(model_versions).where(model_versions.c.version == version)).first()
    return None if found is None else _model(found)


def list_versions(connection: Connection, limit: int = 50) -> list[ModelVersion]:
    """Return the newest versions, newest first."""
    newest = select(model_versions).order_by(model_versions.c.created_at.desc(), model_versions.c.version).limit(limit)
    return [_model(row) for row in connection.execute(newest)]


def _model(row: Row[Any]) -> ModelVersion:
    return ModelVersion(row.version, row.bundle_url, row.manifest, row.metrics, row.gate, row.created_at)
