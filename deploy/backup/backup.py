"""Make one backup: a dump of Postgres, its fingerprint at the same moment, and the models that serve.

Called by   __main__.py
Moment      one snapshot for dump and fingerprint, so that writes go on meanwhile and both speak of the same rows
Whole       under a temporary name, renamed at the end: a folder of backups holds whole ones only
Not in it   the event stream (its own append-only file keeps it) and the cache server (rebuilt from Postgres)
Errors      BackupError
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from deploy.backup.errors import BackupError
from deploy.backup.fingerprint import fingerprint, revision
from deploy.backup.manifest import BUNDLES, DUMP, MANIFEST, BackupManifest, read_manifest, sha256_of, write_manifest
from deploy.backup.postgres_tools import run_tool
from shared.models.bundle import BundleError
from shared.models.bundle_store import fetch_bundle, put_bundle
from shared.service.settings import Settings
from shared.storage.relational.engine import make_engine
from shared.storage.relational.model_registry import read_pointer

KEEP_DAYS = 35
"""the promise of erasure names it: what was erased is in no backup after this"""
NAME = "aisle-%Y%m%dT%H%M%SZ"


def make_backup(settings: Settings, out: Path, keep_days: int = KEEP_DAYS) -> Path:
    """Return the folder of a new backup; backups older than `keep_days` are deleted."""
    now = datetime.now(UTC)
    unfinished, folder = out / f".unfinished-{now:{NAME}}", out / f"{now:{NAME}}"
    unfinished.mkdir(parents=True)
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            manifest = _dump(connection, settings, unfinished, now)
        _copy_models(settings, manifest.models, out / BUNDLES)
        write_manifest(unfinished, manifest)
        unfinished.rename(folder)
    except DBAPIError as error:
        raise BackupError(f"the database cannot be read: {error.orig}") from None
    finally:
        engine.dispose()
        shutil.rmtree(unfinished, ignore_errors=True)
    _delete_old(out, now - timedelta(days=keep_days))
    return folder


def _dump(connection: Connection, settings: Settings, folder: Path, now: datetime) -> BackupManifest:
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--file={folder / DUMP}")
    run_tool("pg_dump", settings.database_url, *arguments, f"--snapshot={snapshot}")
    pointer = read_pointer(connection)
    return BackupManifest(
        made_at=now.isoformat(),
        revision=revision(connection),
        dump_sha256=sha256_of(folder / DUMP),
        models=[version for version in (pointer.version, pointer.previous_version) if version is not None],
        fingerprint=fingerprint(connection),
    )


def _copy_models(settings: Settings, versions: list[str], store: Path) -> None:
    for version in versions:
        try:
            put_bundle(fetch_bundle(settings.bundle_url, version, store / ".fetched"), str(store.resolve()), version)
        except BundleError as error:
            raise BackupError(str(error)) from None
    shutil.rmtree(store / ".fetched", ignore_errors=True)


def _delete_old(out: Path, before: datetime) -> None:
    """Delete old backups, and the models that no backup left names."""
    named: set[str] = set()
    for manifest_path in sorted(out.glob(f"aisle-*/{MANIFEST}")):
        made_at = datetime.strptime(manifest_path.parent.name, NAME).replace(tzinfo=UTC)
        if made_at < before:
            shutil.rmtree(manifest_path.parent)
        else:
            named.update(read_manifest(manifest_path.parent).models)
    for bundle in (out / BUNDLES).glob("[!.]*"):
        if bundle.name not in named:
            shutil.rmtree(bundle)
