"""Where bundles lie: one folder for each version under a local path or an object-store URL (through fsspec).

Called by   services/training/publish.py (put), services/ranking/model_host.py (fetch),
            services/command/rollback_command.py (asks whether a version is there)
Put         under a temporary name, every file flushed to disk, then renamed: a version is there whole or not at all
Fetch       a local store is read in place; a remote one is copied to `cache` once
Errors      BundleError("missing") when the store has no such version
"""

import os
import shutil
import uuid
from pathlib import Path

import fsspec

from shared.models.bundle import MANIFEST, BundleError


def put_bundle(folder: Path, store_url: str, version: str) -> None:
    """Publish a written bundle folder; putting a version that is there already changes nothing."""
    filesystem, root = fsspec.core.url_to_fs(store_url)
    target = f"{root}/{version}"
    if filesystem.exists(f"{target}/{MANIFEST}"):
        return
    if "file" in filesystem.protocol:
        _put_local(folder, Path(target))
        return
    # Object stores have no rename: the manifest goes last, and a folder without one is not a bundle.
    for path in sorted(folder.iterdir(), key=lambda path: path.name == MANIFEST):
        filesystem.put_file(str(path), f"{target}/{path.name}")


def _put_local(folder: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}"
    shutil.copytree(folder, temporary)
    for path in (*temporary.iterdir(), temporary):
        _flush(path)
    try:
        temporary.rename(target)
    except OSError:
        # Another trainer published the same version in between: the same name means the same bytes.
        shutil.rmtree(temporary)
        if not (target / MANIFEST).exists():
            raise
    _flush(target.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_bundle(store_url: str, version: str) -> bool:
    """Return whether the store has a version; OSError when it cannot be read."""
    filesystem, root = fsspec.core.url_to_fs(store_url)
    return bool(filesystem.exists(f"{root}/{version}/{MANIFEST}"))


def fetch_bundle(store_url: str, version: str, cache: Path) -> Path:
    """Return a local folder with the files of a version; load_bundle verifies them."""
    filesystem, root = fsspec.core.url_to_fs(store_url)
    source = f"{root}/{version}"
    if not filesystem.exists(f"{source}/{MANIFEST}"):
        raise BundleError("missing", f"the bundle store (AISLE_BUNDLE_URL) has no version {version}")
    if "file" in filesystem.protocol:
        return Path(source)
    target = cache / version
    if not (target / MANIFEST).exists():
        temporary = cache / f".{version}.{uuid.uuid4().hex}"
        temporary.mkdir(parents=True)
        for name in filesystem.ls(source, detail=False):
            filesystem.get_file(name, str(temporary / Path(name).name))
        temporary.rename(target)
    return target
