"""Bring a database to the newest version of the tables.

Called by   `aisle migrate`, deploy/local (at every start), tests/conftest.py
In          a SQLAlchemy URL
Newer       a database that a newer release migrated is left as it is: its migrations leave room for this release
Safe        several processes may call it at once: an advisory lock lets one work and the others find nothing to do
Errors      sqlalchemy.exc.DBAPIError; a migration that fails is undone (those that build indexes beside the shop's
            writes go on where they stood), and the ones before it stay
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from shared.storage.relational.engine import make_engine

# Any number that no other lock of ours uses (see shared/storage/relational/locks.py).
MIGRATION_LOCK = 4_150_001
TURN_EVERY_S = 0.1


def migrate(database_url: str, revision: str = "head") -> None:
    """Apply every migration the database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection, _turn(connection):
            if _is_newer(connection, config):
                return
            connection.rollback()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """Hold the lock of migrations; the session holds it, since a migration may be several transactions."""
    # Asked again and again: an index that is built CONCURRENTLY waits for every transaction, also one that waits here.
    while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK}).scalar_one():
        connection.rollback()
        time.sleep(TURN_EVERY_S)
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
        connection.commit()


def _is_newer(connection: Connection, config: Config) -> bool:
    """Return whether the database is at a revision that this release has never heard of."""
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    return current is not None and current not in known
