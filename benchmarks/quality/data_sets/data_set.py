"""A data set with the questions that may be asked of it.

Called by   every loader of this folder makes one; registry.py hands it out
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.quality.errors import MissingDataError
from benchmarks.quality.interactions import Interactions
from benchmarks.quality.protocols import NO_QUERY_TIME
from benchmarks.quality.splits import MakeSplit, global_time, leave_one_out
from services.training.importing.raw_table import RawTable

LEAVE_ONE_OUT, TIME, SESSIONS = "leave-one-out", "time", "sessions"
ANY_LOG: Mapping[str, MakeSplit] = {LEAVE_ONE_OUT: leave_one_out, TIME: global_time}


@dataclass(frozen=True)
class DataSet:
    """Interactions, the splits that make sense for them, and whether what was seen is ranked again."""

    name: str
    interactions: Interactions
    splits: Mapping[str, MakeSplit]
    """by protocol; the first is the usual one"""
    hide_seen: bool = True
    note: str = ""
    """what a reader must know of the data"""
    track: str = NO_QUERY_TIME
    """the usual one, of benchmarks/quality/protocols.py"""


def open_table(path: Path, root: Path) -> pd.DataFrame:
    """Return a file of a named set; MissingDataError when it is not there."""
    if not path.exists():
        raise MissingDataError(path, root)
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def as_raw(path: Path, frame: pd.DataFrame) -> RawTable:
    """Return a frame as the columns of a file; its index is the row of the file, from 0."""
    rows = frame.index.to_numpy()
    columns: dict[str, Any] = {name: pa.array(frame[name], from_pandas=True) for name in frame.columns}
    return RawTable(
        path, columns, len(frame), is_typed=True, lines_of=lambda places: [int(rows[p]) + 1 for p in places]
    )
