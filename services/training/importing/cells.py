"""Raw columns to typed ones: identifiers, texts, numbers, times, event types.

Called by   interactions.py, items.py, users.py
Out         arrays of length R; an empty cell is null (NaN, NOT_A_TIME)
Errors      MalformedFileError with line and column for a cell that cannot be what its field wants ("abc" as a price).
            An empty cell is no error here: what may be missing is a rule of cleaning
"""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from services.training.importing.raw_table import RawTable
from services.training.importing.times import (
    UNREADABLE,
    LongArray,
    aware_to_ms,
    epochs_to_ms,
    naive_to_ms,
    texts_to_ms,
)
from shared.contracts.events import EVENT_TYPE_CODES, SEGMENT_ALIASES, EventType
from shared.contracts.identifiers import normalise_identifier

INVALID = "\x00"
"""stands for an identifier that breaks the rules; no valid one holds this character"""
NUMBER = r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"


def texts(raw: RawTable, column: str) -> Any:
    """Return a column as text; whole numbers are written without a fraction."""
    cells = raw.columns[column]
    kind = cells.type
    if pa.types.is_dictionary(kind):
        cells = cells.cast(kind.value_type)
        kind = cells.type
    if pa.types.is_floating(kind):
        whole = pc.all(pc.equal(cells, pc.floor(cells))).as_py()
        return cells.cast(pa.int64() if whole in (True, None) else kind, safe=False).cast(pa.string())
    if pa.types.is_nested(kind):
        raise raw.malformed(0, column, "expected one value a cell, found a list or object")
    return cells.cast(pa.string())


def identifiers(raw: RawTable, column: str) -> Any:
    """Return a column of identifiers in their one spelling, as a dictionary array; INVALID marks the impossible."""
    coded = _identifier_texts(raw, column).dictionary_encode()
    spelt = pa.array([_identifier(value) for value in coded.dictionary.to_pylist()], pa.string())
    return pa.DictionaryArray.from_arrays(coded.indices, spelt)


def _identifier_texts(raw: RawTable, column: str) -> Any:
    """A column of whole numbers with gaps is written "17850.0" by pandas; the shop means 17850."""
    cells = texts(raw, column)
    if not raw.is_typed and pc.all(pc.match_substring_regex(cells, r"^-?\d+\.0$")).as_py():
        return pc.utf8_slice_codeunits(cells, 0, -2)
    return cells


def _identifier(value: str) -> str | None:
    try:
        return normalise_identifier(value) if value else None
    except ValueError:
        return INVALID


def are_integers(raw: RawTable, column: str) -> bool:
    """Return whether the shop writes these identifiers as integers; in CSV nothing tells, so all must look like it."""
    if raw.is_typed:
        return bool(pa.types.is_integer(raw.columns[column].type))
    cells = _identifier_texts(raw, column)
    return bool(pc.all(pc.match_substring_regex(cells, r"^(0|-?[1-9]\d{0,17})$")).as_py())


def numbers(raw: RawTable, column: str) -> npt.NDArray[np.float64]:
    """Return a column of numbers, NaN where empty."""
    cells = raw.columns[column]
    kind = cells.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        wrong = pc.invert(pc.match_substring_regex(cells, NUMBER))
        _refuse_first(raw, column, wrong.fill_null(False), "expected a number")
        cells = pc.utf8_trim_whitespace(cells).cast(pa.float64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        if cells.null_count < len(cells):
            raise raw.malformed(_first_known(cells), column, "expected a number")
        cells = pa.nulls(len(cells), pa.float64())
    return np.asarray(cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def times(raw: RawTable, column: str, zone: tzinfo) -> LongArray:
    """Return a column of times as epoch milliseconds, NOT_A_TIME where empty."""
    cells = raw.columns[column]
    kind = cells.type
    if pa.types.is_date(kind):
        cells = cells.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(cells.type):
        moment_R = pd.Series(cells.cast(pa.timestamp("ms", cells.type.tz)).to_pandas())
        return naive_to_ms(moment_R, zone) if cells.type.tz is None else aware_to_ms(moment_R)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return epochs_to_ms(numbers(raw, column))
    at_ms_R = texts_to_ms(pd.Series(texts(raw, column).to_pandas(), dtype="str"), zone)
    _refuse_first(raw, column, pa.array(at_ms_R == UNREADABLE), "expected a time, such as 2026-01-31 18:05:00")
    return at_ms_R


def event_types(raw: RawTable, column: str, renamed: Mapping[str, str]) -> npt.NDArray[np.int16]:
    """Return a column of event types as EVENT_TYPE_CODES; an empty cell is an error, since nothing can stand for it."""
    coded = texts(raw, column).dictionary_encode()
    codes = np.array([_type_code(name, renamed) for name in coded.dictionary.to_pylist()] + [-1], np.int16)
    code_R: npt.NDArray[np.int16] = codes[dictionary_codes(coded)]
    known = ", ".join(EventType)
    _refuse_first(
        raw, column, pa.array(code_R < 0), f"expected an event type ({known}); rename with --type theirs=ours"
    )
    return code_R


def _type_code(name: str, renamed: Mapping[str, str]) -> int:
    ours = renamed.get(name) or SEGMENT_ALIASES.get(name) or name.strip().lower().replace(" ", "_")
    return EVENT_TYPE_CODES[EventType(ours)] if ours in list(EventType) else -1


def dictionary_codes(coded: Any) -> LongArray:
    """Return the codes of a dictionary array, -1 where empty; files of other makers have unsigned ones."""
    return np.asarray(coded.indices.cast(pa.int64()).fill_null(-1), np.int64)


def _refuse_first(raw: RawTable, column: str, wrong: Any, message: str) -> None:
    first = pc.index(wrong, pa.scalar(True)).as_py()
    if first >= 0:
        raise raw.malformed(first, column, message)


def _first_known(cells: Any) -> int:
    return int(pc.index(cells.is_valid(), pa.scalar(True)).as_py())
