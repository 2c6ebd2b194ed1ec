"""A backup is a restore that worked: restore it into a server of its own, compare, migrate, read it as services do.

Called by   __main__.py, tests/monitoring
Server      the embedded Postgres in a temporary folder, stopped and removed afterwards
Compared    rows and checksum of every table, of interactions and impressions for each day (fingerprint.py)
Errors      BackupError naming the first tables that differ
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from deploy.backup.errors import BackupError
from deploy.backup.fingerprint import Fingerprint, fingerprint
from deploy.backup.manifest import BUNDLES, read_manifest
from deploy.backup.restore import restore_database
from deploy.local.ports import free_port
from deploy.local.postgres import THROWAWAY_SETTINGS, PostgresServer, folder_for
from deploy.migrations import migrate
from shared.models.bundle_store import has_bundle
from shared.storage.relational.catalogue import load_all
from shared.storage.relational.engine import make_engine
from shared.storage.relational.interactions import newest_events
from shared.storage.relational.model_registry import current

DATABASE = "restored"
MOST_NAMED = 5


@dataclass(frozen=True)
class Verified:
    """What a verified backup holds."""

    rows: int
    days: int
    items: int

    @property
    def summary(self) -> str:
        """Return it as a sentence."""
        return f"Verified: {self.rows:,} rows equal to those dumped, {self.days} days of log, {self.items:,} items."


def verify_backup(folder: Path) -> Verified:
    """Return what was verified, or raise BackupError."""
    manifest = read_manifest(folder)
    missing = [version for version in manifest.models if not has_bundle(str(folder.parent / BUNDLES), version)]
    if missing:
        raise BackupError(f"the backup names models that are not beside it: {', '.join(missing)}")
    with _server() as server_url:
        restore_database(folder, server_url)
        engine = make_engine(server_url, pool_size=1)
        try:
            with engine.connect() as connection:
                _compare(manifest.fingerprint, fingerprint(connection))
            # A backup older than this release must take its migrations.
            migrate(server_url)
            with engine.connect() as connection:
                items = _read(connection, manifest.models)
        finally:
            engine.dispose()
    rows = sum(int(count) for count, _ in manifest.fingerprint.values())
    return Verified(rows, sum(" " in name for name in manifest.fingerprint), items)


def _compare(dumped: Fingerprint, restored: Fingerprint) -> None:
    different = sorted(name for name in {*dumped, *restored} if dumped.get(name) != restored.get(name))
    if different:
        more = f" and {len(different) - MOST_NAMED} more" if len(different) > MOST_NAMED else ""
        raise BackupError(f"restored rows differ from the dumped ones: {', '.join(different[:MOST_NAMED])}{more}")


def _read(connection: Connection, models: list[str]) -> int:
    """Read what feature and ranking read at their start; return the number of items."""
    items = sum(1 for _ in load_all(connection))
    shopper = connection.execute(text("SELECT user_key FROM interactions LIMIT 1")).scalar()
    if shopper is not None and not newest_events(connection, shopper, 10):
        raise BackupError("the history of a restored shopper cannot be read")
    serving = current(connection)
    if (serving.version if serving else None) != next(iter(models), None):
        raise BackupError("the restored registry points at another model than the one backed up")
    return items


@contextmanager
def _server() -> Iterator[str]:
    """Yield the URL of a database that is not there yet, on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="aisle-verify-") as home:
        Path(home).chmod(0o755)  # Postgres runs as another user when we are root
        server = PostgresServer(folder_for(Path(home)), free_port(), THROWAWAY_SETTINGS)
        server.start()
        try:
            yield server.url(DATABASE)
        finally:
            server.stop()
