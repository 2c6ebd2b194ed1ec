"""Bring a backup back: into an empty database, and its models into the bundle store.

Called by   __main__.py, verify.py (the database half, into a server of its own)
Order       models first, then the database in one transaction, then newer migrations, then the cache is emptied:
            nothing can point at what is not there yet
Erased      feature itself erases again whom an old backup brings back (services/feature/erasure_keeper.py)
Errors      BackupError; a database that holds tables is refused, and nothing is changed
"""

from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from deploy.backup.errors import BackupError
from deploy.backup.manifest import BUNDLES, DUMP, read_manifest
from deploy.backup.postgres_tools import run_tool
from deploy.migrations import migrate
from shared.models.bundle import BundleError
from shared.models.bundle_store import fetch_bundle, put_bundle
from shared.service.settings import Settings
from shared.storage.redis.clients import STORE_ERRORS, sync_client
from shared.storage.relational.databases import ensure_database
from shared.storage.relational.engine import make_engine


def restore_backup(folder: Path, settings: Settings) -> str:
    """Restore everything; return what was done, in a sentence."""
    manifest = read_manifest(folder)
    try:
        for version in manifest.models:
            put_bundle(_bundle(folder, version), settings.bundle_url, version)
        restore_database(folder, settings.database_url)
        migrate(settings.database_url)
    except BundleError as error:
        raise BackupError(str(error)) from None
    except DBAPIError as error:
        raise BackupError(f"the database cannot be restored into: {error.orig}") from None
    emptied = "The cache was emptied." if _empty_cache(settings) else "Empty the cache server: it could not be reached."
    return f"Restored the backup of {manifest.made_at}; {len(manifest.models)} models. {emptied}"


def restore_database(folder: Path, database_url: str) -> None:
    """Restore the dump into a database that is empty or is not there yet; all of it or nothing."""
    url = make_url(database_url)
    ensure_database(url.set(database="postgres").render_as_string(hide_password=False), str(url.database))
    _refuse_tables(database_url)
    arguments = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    run_tool("pg_restore", database_url, *arguments, str(folder / DUMP))


def _refuse_tables(database_url: str) -> None:
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            if tables := connection.execute(text(query)).scalar_one():
                raise BackupError(f"the database holds {tables} tables; restore into an empty one")
    finally:
        engine.dispose()


def _bundle(folder: Path, version: str) -> Path:
    store = folder.parent / BUNDLES
    return fetch_bundle(str(store.resolve()), version, store)


def _empty_cache(settings: Settings) -> bool:
    """Drop online states and lists: they speak of what was lost. Each is rebuilt when it is asked for."""
    try:
        with sync_client(settings.redis_cache_url) as cache:
            for key in cache.scan_iter(match=f"{settings.namespace}:*", count=1000):
                cache.unlink(key)
    except STORE_ERRORS:
        return False
    return True
