"""Is the database migrated as far as this release needs? Newer is fine: a migration leaves room for the release before.

Called by   whoever reads Postgres first in a process: shared/storage/live_catalogue.py, services/feature/ingest.py
Needed      NEEDED is raised by the release that reads what a migration added; a test holds it to deploy/migrations
Errors      SchemaTooOldError, whose text says what to do; STORAGE_DOWN_ERRORS
"""

from sqlalchemy import Connection, text

NEEDED = "0004"

VERSION = text("SELECT version_num FROM alembic_version")
HAS_VERSION = text("SELECT to_regclass('alembic_version') IS NOT NULL")


class SchemaTooOldError(Exception):
    """The tables are not there yet, or those of an older release: the migrations did not run, or failed."""


def require_schema(connection: Connection) -> None:
    """Raise SchemaTooOldError unless the tables are those that this release needs, or newer."""
    migrated = connection.execute(HAS_VERSION).scalar_one()
    found = connection.execute(VERSION).scalar() if migrated else None
    if found is None or str(found) < NEEDED:
        stands = "has no tables of Aisle" if found is None else f"is at revision {found}"
        raise SchemaTooOldError(
            f"the database {stands}, this release needs {NEEDED}: the migrations did not run (`aisle migrate`)"
        )
