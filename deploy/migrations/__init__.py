"""Bring a database to the newest version of the tables.

Called by   `aisle migrate`, deploy/local (at every start), tests/conftest.py
In          a SQLAlchemy URL
Newer       a database that a newer release migrated is left as it is: its migrations leave room for this release
Safe        several processes may call it at once: an advisory lock lets one work and the others find nothing to do
Errors      sqlalchemy.exc.DBAPIError; nothing is half done, since everything happens in one transaction
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from shared.storage.relational.engine import make_engine

# Any number that no other lock of ours uses (see shared/storage/relational/partitions.py).
MIGRATION_LOCK = 4_150_001


def migrate(database_url: str, revision: str = "head") -> None:
    """Apply every migration the database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            if _is_newer(connection, config):
                return
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


def _is_newer(connection: Connection, config: Config) -> bool:
    """Return whether the database is at a revision that this release has never heard of."""
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    return current is not None and current not in known
