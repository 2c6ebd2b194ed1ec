"""A file of interactions to the columns that cleaning and Postgres read.

Called by   import_events.py
In          a file and its ColumnMapping; naive times are in the shop's zone
Out         ReadEvents: a table with TABLE_COLUMNS whose row r is row `row_E[r]` of the file, and the rows that no
            later step could use
Errors      MalformedFileError, MappingError
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from services.training.importing.cells import INVALID, dictionary_codes, event_types, identifiers, numbers, texts, times
from services.training.importing.errors import MappingError
from services.training.importing.mapping import ColumnMapping
from services.training.importing.raw_table import RawTable
from services.training.importing.readers import read_mapped
from services.training.importing.times import NOT_A_TIME
from shared.contracts.events import EVENT_TYPE_CODES, EventType

IDENTIFIERS = ("event_id", "item_id", "session_id", "order_id", "recommendation_id")
NUMBERS = ("quantity", "price", "value", "position")
TABLE_COLUMNS = ("user_key", *IDENTIFIERS, "type", "at_ms", *NUMBERS, "currency", "context")
# What POST /events takes, too (shared/contracts/events.py).
BOUNDS = {"quantity": (-np.inf, 1e6), "price": (-np.inf, 1e9), "value": (-1e9, 1e9), "position": (1, 1000)}
DEGREES = ("latitude", "longitude")
BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, tuple[str, ...]]

INVALID_IDENTIFIER = "invalid_identifier"
OUT_OF_BOUNDS = "out_of_bounds"
READING_RULES = {
    INVALID_IDENTIFIER: "an identifier that is longer than 128 characters or holds unprintable ones",
    OUT_OF_BOUNDS: "a number or currency that POST /events would refuse, too",
}


@dataclass(frozen=True)
class ReadEvents:
    """A file, understood."""

    raw: RawTable
    table: Any
    row_E: npt.NDArray[np.int64]
    """row of the file of each row of the table"""
    refused: tuple[tuple[int, str], ...]
    """row of the file and the rule of READING_RULES it broke"""


def read_interactions(path: Path, mapping: ColumnMapping, zone: tzinfo) -> ReadEvents:
    """Return the interactions of a file."""
    raw, columns = read_mapped(path, mapping)
    if "type" not in columns and mapping.default_type is None:
        raise MappingError("no column for type: add --map type=<column>, or --default-type purchase for all rows")
    named = {name: identifiers(raw, columns[name][0]) for name in IDENTIFIERS if name in columns}
    user_key, wrong_R = _user_keys(raw, columns)
    for ids in named.values():
        wrong_R |= _is_invalid(ids)
    counted = {name: numbers(raw, columns[name][0]) for name in NUMBERS if name in columns}
    currency, outside_R = _currency(raw, columns)
    for name, number_R in counted.items():
        least, most = BOUNDS[name]
        outside_R |= (number_R < least) | (number_R > most)
    at_ms_R = times(raw, columns["occurred_at"][0], zone)
    table = pa.table(
        {
            "user_key": user_key,
            **{name: named.get(name, pa.nulls(raw.num_rows, pa.string())) for name in IDENTIFIERS},
            "type": _types(raw, columns, mapping),
            "at_ms": pa.array(at_ms_R, mask=at_ms_R == NOT_A_TIME),
            **{name: _number_array(counted.get(name), raw.num_rows) for name in NUMBERS},
            "currency": currency,
            "context": _contexts(raw, columns, mapping.kind),
        }
    )
    return _without_refused(raw, table, wrong_R, outside_R)


def _without_refused(raw: RawTable, table: Any, wrong_R: BoolArray, outside_R: BoolArray) -> ReadEvents:
    rules = [(row, INVALID_IDENTIFIER) for row in np.flatnonzero(wrong_R).tolist()]
    rules += [(row, OUT_OF_BOUNDS) for row in np.flatnonzero(outside_R & ~wrong_R).tolist()]
    row_E = np.flatnonzero(~(wrong_R | outside_R))
    return ReadEvents(raw, table.take(row_E) if rules else table, row_E, tuple(rules))


def _user_keys(raw: RawTable, columns: Columns) -> tuple[Any, BoolArray]:
    """Return shared.contracts.identifiers.user_key of each row: the account's, else the visitor's."""
    keys, wrong_R = pa.nulls(raw.num_rows, pa.string()), np.zeros(raw.num_rows, np.bool_)
    for name, prefix in (("user_id", "u:"), ("visitor_id", "v:")):
        if name in columns:
            ids = identifiers(raw, columns[name][0])
            wrong_R |= _is_invalid(ids)
            prefixed = pc.binary_join_element_wise(prefix, ids.dictionary, "")
            keys = pc.coalesce(keys, pa.DictionaryArray.from_arrays(ids.indices, prefixed).cast(pa.string()))
    return keys.dictionary_encode(), wrong_R


def _is_invalid(ids: Any) -> BoolArray:
    place = pc.index(ids.dictionary, INVALID).as_py()
    if place < 0:
        return np.zeros(len(ids), np.bool_)
    invalid = pc.is_in(ids.indices, pc.indices_nonzero(pc.equal(ids.dictionary, INVALID)).cast(ids.indices.type))
    return np.asarray(invalid.to_numpy(zero_copy_only=False), np.bool_)


def _currency(raw: RawTable, columns: Columns) -> tuple[Any, BoolArray]:
    if "currency" not in columns:
        return pa.nulls(raw.num_rows, pa.string()), np.zeros(raw.num_rows, np.bool_)
    currency = texts(raw, columns["currency"][0])
    wrong = pc.invert(pc.match_substring_regex(currency, "^[A-Z]{3}$")).fill_null(False)
    return currency, np.asarray(wrong.to_numpy(zero_copy_only=False), np.bool_)


def _types(raw: RawTable, columns: Columns, mapping: ColumnMapping) -> Any:
    if "type" in columns:
        return pa.array(event_types(raw, columns["type"][0], mapping.types))
    code = EVENT_TYPE_CODES[EventType(str(mapping.default_type))]
    return pa.array(np.full(raw.num_rows, code, np.int16))


def _number_array(number_R: npt.NDArray[np.float64] | None, num_rows: int) -> Any:
    if number_R is None:
        return pa.nulls(num_rows, pa.float64())
    return pa.array(number_R, from_pandas=True)


def _contexts(raw: RawTable, columns: Columns, kind: str) -> Any:
    """Return the context of each row as JSON text; each different context is written once."""
    found = {name.removeprefix("context."): cells[0] for name, cells in columns.items() if name.startswith("context.")}
    if not found:
        return pa.nulls(raw.num_rows, pa.string())
    values, codes = [], []
    for name, column in sorted(found.items()):
        cells = pa.array(numbers(raw, column), from_pandas=True) if name in DEGREES else raw.columns[column]
        coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
        values.append((name, [*coded.dictionary.to_pylist(), None]))
        codes.append(dictionary_codes(coded))
    code_UF, context_R = np.unique(np.column_stack(codes), axis=0, return_inverse=True)
    written = [_context_json(values, code_F) for code_F in code_UF.tolist()]
    return pa.DictionaryArray.from_arrays(pa.array(context_R.reshape(-1), pa.int32()), pa.array(written, pa.string()))


def _context_json(values: list[tuple[str, list[Any]]], code_F: list[int]) -> str | None:
    known = {name: names[code] for (name, names), code in zip(values, code_F, strict=True) if names[code] is not None}
    return orjson.dumps(known, option=orjson.OPT_SORT_KEYS, default=str).decode() if known else None
