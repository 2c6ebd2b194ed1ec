"""The pictures of a training report: PNG files beside the bundles, in a folder for each model version.

Called by   services/training/publish.py (put), services/training/routes.py (read), the `aisle train` command (where)
Where       <bundle store>/reports/<version>/<picture>; a bundle itself stays what its manifest names
Errors      OSError of the store; FileNotFoundError when a picture was removed
"""

from collections.abc import Mapping

import fsspec


def report_folder(store_url: str, version: str) -> str:
    """Return the fsspec URL of a version's pictures."""
    return f"{store_url.rstrip('/')}/reports/{version}"


def put_pictures(store_url: str, version: str, pictures: Mapping[str, bytes]) -> None:
    """Store pictures by name; those that are there are replaced by the same."""
    if not pictures:
        return
    filesystem, folder = fsspec.core.url_to_fs(report_folder(store_url, version))
    filesystem.makedirs(folder, exist_ok=True)
    for name, picture in pictures.items():
        filesystem.pipe_file(f"{folder}/{name}", picture)


def read_picture(store_url: str, version: str, name: str) -> bytes:
    """Return one picture."""
    filesystem, folder = fsspec.core.url_to_fs(report_folder(store_url, version))
    return bytes(filesystem.cat_file(f"{folder}/{name}"))
