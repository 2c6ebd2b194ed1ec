"""Read a CSV file: comma, semicolon, tab or bar, quoted by ", UTF-8, names in the first line. All cells stay text.

Called by   readers.py
Errors      MalformedFileError with line and column: a row of another length, a quote without its end, bytes that are
            not UTF-8, a name that occurs twice
Speed       pyarrow reads the file; only when it refuses, a slow pass in Python finds the place
"""

import codecs
import csv
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from services.training.importing.errors import MalformedFileError
from services.training.importing.raw_table import RawTable

DELIMITERS = ",;\t|"
BLOCK_BYTES = 1 << 20


def csv_columns(path: Path) -> list[str]:
    """Return the names in the first line."""
    return _header(path)[0]


def read_csv(path: Path, wanted: Collection[str]) -> RawTable:
    """Return some columns of the file as text; an empty cell is null."""
    names, delimiter = _header(path)
    if len(set(names)) != len(names):
        twice = next(place for place, name in enumerate(names) if name in names[:place])
        raise MalformedFileError(path, "this name occurs twice", 1, twice + 1)
    try:
        table = pyarrow.csv.read_csv(
            path,
            pyarrow.csv.ReadOptions(block_size=16 * BLOCK_BYTES),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=list(wanted),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except (pa.ArrowException, OSError) as error:
        found = _first_broken_row(path, delimiter, len(names))
        raise found or MalformedFileError(path, str(error).splitlines()[0]) from None
    # pyarrow takes a quote without its end for one long cell, and the rest of the file with it.
    if _count_quotes(path) % 2 and (found := _first_broken_row(path, delimiter, len(names))):
        raise found
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    return RawTable(path, columns, len(table), False, lambda rows: _lines_of(path, delimiter, rows))


def _header(path: Path) -> tuple[list[str], str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    if not first.strip():
        raise MalformedFileError(path, "expected the names of the columns", 1, 1)
    delimiter = max(DELIMITERS, key=first.count)
    return next(csv.reader([first], delimiter=delimiter)), delimiter


def _count_quotes(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b'"') for block in iter(lambda: file.read(BLOCK_BYTES), b""))


def _first_broken_row(path: Path, delimiter: str, num_columns: int) -> MalformedFileError | None:
    """Return the error of the first row that is none, None if all are fine."""
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            for row in reader:
                if row and len(row) != num_columns:
                    column = min(len(row), num_columns) + 1
                    return MalformedFileError(path, f"{len(row)} cells, expected {num_columns}", line, column)
                line = reader.line_num + 1
    except UnicodeDecodeError:
        return _not_utf8(path)
    except csv.Error as error:
        return MalformedFileError(path, f"a row that starts here has no end: {error}", line, 1)
    return None


def _not_utf8(path: Path) -> MalformedFileError:
    """Return the error with line and column of the first byte that is not UTF-8."""
    line = 1
    with path.open("rb") as file:
        for raw in file:
            try:
                codecs.decode(raw, "utf-8")
            except UnicodeDecodeError as error:
                return MalformedFileError(path, "not UTF-8 text", line, error.start + 1)
            line += 1
    return MalformedFileError(path, "not UTF-8 text", line, 1)


def _lines_of(path: Path, delimiter: str, rows: Sequence[int]) -> list[int]:
    """Return where rows start, in one pass: cells may hold line ends, and empty lines are no rows."""
    wanted, found = iter(rows), []
    next_row = next(wanted, None)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader: Any = csv.reader(file, delimiter=delimiter)
        next(reader)
        line, number = reader.line_num + 1, 0
        for row in reader:
            if next_row is None:
                break
            if row:
                if number == next_row:
                    found.append(line)
                    next_row = next(wanted, None)
                number += 1
            line = reader.line_num + 1
    return found
