"""Read a JSON Lines file: one object a line. A column "a.b" is the field b of the object a.

Events may be written as POST /events takes them: one with `items` becomes one row for each, as the gateway stores it.

Called by   readers.py
Errors      MalformedFileError with line and column of the character where a line stops being JSON
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from services.training.importing.errors import MalformedFileError
from services.training.importing.raw_table import RawTable

LOOK_AT_LINES = 1000


def jsonl_columns(path: Path) -> list[str]:
    """Return the keys of the first lines, nested ones with a dot, in the order in which they are met."""
    names: dict[str, None] = {}
    for number, (_, record) in enumerate(_records(path)):
        if number == LOOK_AT_LINES:
            break
        for key, value in record.items():
            names[key] = None
            if isinstance(value, dict):
                names |= dict.fromkeys(f"{key}.{inner}" for inner in value)
    return list(names)


def read_jsonl(path: Path, wanted: Collection[str]) -> RawTable:
    """Return some columns of the file; what a line does not say is null."""
    values: dict[str, list[Any]] = {name: [] for name in wanted}
    lines: list[int] = []
    readers = [(cells, name, name.split(".")) for name, cells in values.items()]
    for line, record in _records(path):
        lines.append(line)
        for cells, name, parts in readers:
            cells.append(record[name] if name in record else _nested(record, parts))
    columns = {name: _as_array(cells) for name, cells in values.items()}

    def lines_of(rows: Sequence[int]) -> list[int]:
        return [lines[row] for row in rows]

    return RawTable(path, columns, len(lines), True, lines_of)


def _records(path: Path) -> Any:
    """Yield line number and object, once for each of its `items`; empty lines are skipped."""
    with path.open("rb") as file:
        for line, ended in enumerate(file, start=1):
            raw = ended.strip(b"\r\n")
            if not raw or raw.isspace():
                continue
            try:
                record = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                raise MalformedFileError(path, "not JSON", line, error.colno) from None
            if not isinstance(record, dict):
                raise MalformedFileError(path, "expected one JSON object a line", line, 1)
            for row in _lines_of_event(record):
                yield line, row


def _lines_of_event(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an event's lines, with the ids that services/gateway/event_batch.py gives them; else the record itself."""
    entries = record.get("items")
    if "item_id" in record or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return [record]
    event = {name: value for name, value in record.items() if name != "items"}
    rows = [event | entry for entry in entries]
    if len(rows) > 1 and "event_id" in event:
        rows = [row | {"event_id": f"{event['event_id']}#{number}"} for number, row in enumerate(rows, start=1)]
    return rows or [record]


def _nested(record: Any, parts: list[str]) -> Any:
    for part in parts:
        record = record.get(part) if isinstance(record, dict) else None
    return record


def _as_array(cells: list[Any]) -> Any:
    """Return the narrowest array that holds all cells; a mixed column becomes text, as JSON writes it."""
    plain = [orjson.dumps(cell).decode() if isinstance(cell, dict) else cell for cell in cells]
    try:
        return pa.array(plain)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(
            [cell if cell is None or isinstance(cell, str) else _spelt(cell) for cell in plain], pa.string()
        )


def _spelt(cell: Any) -> str:
    return orjson.dumps(cell).decode()
