"""Files that nobody else may read.

Called by   deploy/local/{postgres,valkey,addresses}.py
"""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file, in one step, by one that only its owner can read; never readable by others in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)
