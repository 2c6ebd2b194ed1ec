"""Read a Parquet file.

Called by   readers.py
Errors      MalformedFileError; Parquet has no lines, so a row is named by its number, counted from 1
"""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from services.training.importing.errors import MalformedFileError
from services.training.importing.raw_table import RawTable


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the file's columns."""
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise MalformedFileError(path, f"not a Parquet file: {_first_line(error)}") from None


def read_parquet(path: Path, wanted: Collection[str]) -> RawTable:
    """Return some columns of the file."""
    try:
        table = pq.read_table(path, columns=list(wanted))
    except (pa.ArrowException, OSError) as error:
        raise MalformedFileError(path, f"damaged Parquet file: {_first_line(error)}") from None
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    return RawTable(path, columns, len(table), is_typed=True, lines_of=lambda rows: [row + 1 for row in rows])


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
