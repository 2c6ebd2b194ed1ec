"""A file as columns, before anything is understood: what the three readers return.

Called by   parquet_file.py, csv_file.py and jsonl_file.py make it, cells.py reads it
Dimensions  R rows
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.training.importing.errors import MalformedFileError


@dataclass(frozen=True)
class RawTable:
    """The columns that were asked for, as pyarrow arrays of length R."""

    path: Path
    columns: Mapping[str, Any]
    num_rows: int
    is_typed: bool
    """numbers and texts differ in this format; in CSV all is text"""
    lines_of: Callable[[Sequence[int]], list[int]]
    """lines of the file, counted from 1, at which rows (from 0, rising) start; in Parquet the rows from 1"""

    def malformed(self, row: int, column: str, message: str) -> MalformedFileError:
        """Return the error of one cell."""
        return MalformedFileError(self.path, message, self.lines_of([row])[0], repr(column))

    def row(self, number: int) -> dict[str, Any]:
        """Return one row as it stands in the file."""
        return {name: column[number].as_py() for name, column in self.columns.items()}
