"""The files of one backup, and what its manifest says of them.

Called by   backup.py (writes), verify.py and restore.py (read)
Errors      BackupError for a folder that is not a whole backup
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.backup.errors import BackupError
from deploy.backup.fingerprint import Fingerprint

DUMP = "postgres.dump"
MANIFEST = "manifest.json"
BUNDLES = "bundles"
"""beside the backups: a version is kept once, however many backups name it"""


@dataclass(frozen=True)
class BackupManifest:
    """Written last: a folder without one is not a backup."""

    made_at: str
    """ISO 8601, UTC"""
    revision: str
    dump_sha256: str
    models: list[str]
    """versions: the one that serves, and the one before"""
    fingerprint: Fingerprint


def write_manifest(folder: Path, manifest: BackupManifest) -> None:
    """Write it."""
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1) + "\n")


def read_manifest(folder: Path) -> BackupManifest:
    """Read it, and see that the dump is the one it speaks of."""
    try:
        manifest = BackupManifest(**json.loads((folder / MANIFEST).read_text()))
    except FileNotFoundError:
        raise BackupError(f"{folder} is not a whole backup: it has no {MANIFEST}") from None
    except (ValueError, TypeError) as error:
        raise BackupError(f"{folder / MANIFEST} cannot be read: {error}") from None
    if not (folder / DUMP).exists() or sha256_of(folder / DUMP) != manifest.dump_sha256:
        raise BackupError(f"{folder / DUMP} is missing or damaged: its checksum is not the one of the manifest")
    return manifest


def sha256_of(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
