"""Open a file of the shop, by its ending.

Called by   interactions.py, items.py, users.py
In          .parquet, .csv, .tsv, .jsonl, .ndjson
Errors      MalformedFileError; MappingError when the file lacks a column that must be there
"""

from collections.abc import Callable, Collection
from pathlib import Path

from services.training.importing.csv_file import csv_columns, read_csv
from services.training.importing.errors import MalformedFileError
from services.training.importing.jsonl_file import jsonl_columns, read_jsonl
from services.training.importing.mapping import ColumnMapping
from services.training.importing.parquet_file import parquet_columns, read_parquet
from services.training.importing.raw_table import RawTable

Columns = Callable[[Path], list[str]]
Reader = Callable[[Path, Collection[str]], RawTable]

READERS: dict[str, tuple[Columns, Reader]] = {
    ".parquet": (parquet_columns, read_parquet),
    ".csv": (csv_columns, read_csv),
    ".tsv": (csv_columns, read_csv),
    ".jsonl": (jsonl_columns, read_jsonl),
    ".ndjson": (jsonl_columns, read_jsonl),
}


def read_mapped(path: Path, mapping: ColumnMapping) -> tuple[RawTable, dict[str, tuple[str, ...]]]:
    """Return the columns of a file that fill fields, and which column fills which."""
    if path.suffix.lower() not in READERS:
        raise MalformedFileError(path, f"unknown ending; known are {', '.join(READERS)}")
    if not path.is_file():
        raise MalformedFileError(path, "no such file")
    columns_in, read = READERS[path.suffix.lower()]
    resolved = mapping.resolve(columns_in(path))
    wanted = dict.fromkeys(column for columns in resolved.values() for column in columns)
    return read(path, list(wanted)), resolved
