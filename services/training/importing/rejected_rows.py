"""Rows that an import did not take, written beside the file with line and reason: never dropped in silence.

Called by   import_events.py, items.py, users.py
Out         <name>.rejected.jsonl, one object a row: {"line", "reason", "row"}; removed when nothing was rejected
"""

from collections.abc import Sequence
from pathlib import Path

import orjson

from services.training.importing.raw_table import RawTable

Rejected = tuple[int, str]
"""row of the file, from 0, and why"""


def rejected_path(path: Path, folder: Path | None) -> Path:
    """Return where the rejected rows of a file go: beside it, unless a folder is given."""
    return (folder or path.parent) / f"{path.stem}.rejected.jsonl"


def write_rejected(raw: RawTable, rejected: Sequence[Rejected], target: Path) -> Path | None:
    """Write the rows in the order of the file; return the file, None when there is nothing to tell."""
    if not rejected:
        target.unlink(missing_ok=True)
        return None
    target.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(rejected)
    with target.open("wb") as file:
        for (row, reason), line in zip(ordered, raw.lines_of([row for row, _ in ordered]), strict=True):
            entry = {"line": line, "reason": reason, "row": raw.row(row)}
            file.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z, default=str))
    return target
