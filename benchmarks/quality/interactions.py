"""A data set in the product's own log form: users' events in order, items as rows of a catalogue.

Called by   folder.py (a stranger's folder), data_sets/* (named public sets); protocols.py reads it
In          a RawTable with user_id, item_id, position and/or timestamp, optional event (without it: purchase)
Order       by position, else by timestamp; ties by row of the file
Times       `log` has one second from event to event, or from basket to basket, so that it tells the order and nothing
            else; `real_ms_E` has the real times, NOT_A_TIME where there is none
Errors      MalformedFileError with file, row and column of a cell that cannot be read; ProtocolError for an
            empty file
Dimensions  R rows of the file, E events, U users, V items
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.quality.errors import ProtocolError
from benchmarks.quality.findings import Finding, found
from services.training.examples.event_log import EventLog
from services.training.importing.cells import INVALID, dictionary_codes, event_types, identifiers, numbers, times
from services.training.importing.raw_table import RawTable
from services.training.importing.times import NOT_A_TIME
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.recommendation import Context
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.events import POSITIVE_CODES, EventWindow, LongArray
from shared.models.tensors import BoolArray

STEP_MS = 1000
EVENT_ALIASES = {"addtocart": "add_to_cart", "cart": "add_to_cart", "transaction": "purchase", "buy": "purchase"}


@dataclass(frozen=True)
class Interactions:
    """Events on items; the event at place e of `log` has the real time `real_ms_E[e]` and stood in row `row_E[e]`."""

    log: EventLog
    real_ms_E: LongArray
    row_E: LongArray
    catalogue: Catalogue
    findings: tuple[Finding, ...]

    @property
    def num_items(self) -> int:
        """Number of items that are ranked."""
        return len(self.catalogue)


@dataclass(frozen=True)
class Columns:
    """The cells of a file, understood, in the order of the file."""

    user_R: LongArray
    user_names: tuple[str, ...]
    item_R: LongArray
    item_names: tuple[str, ...]
    order_R: LongArray
    """position, or milliseconds where the file has no position"""
    at_ms_R: LongArray
    type_R: npt.NDArray[np.int16]

    def at(self, place_X: LongArray) -> "Columns":
        """Return some rows; users and items stay named."""
        cells = (self.order_R[place_X], self.at_ms_R[place_X], self.type_R[place_X])
        return Columns(self.user_R[place_X], self.user_names, self.item_R[place_X], self.item_names, *cells)


def build_interactions(
    raw: RawTable, items: Mapping[str, CatalogueItem], baskets: bool = False, findings: tuple[Finding, ...] = ()
) -> Interactions:
    """Return the log; with `baskets`, events of one user with one position (or time) are one moment."""
    columns = read_columns(raw)
    row_R = np.arange(len(columns.user_R))
    positive_R = np.isin(columns.type_R, POSITIVE_CODES)
    again_R = repeated(columns)
    kept_R = positive_R & ~again_R
    findings += found("duplicate rows", again_R.sum(), "counted once", address(raw, again_R))
    findings += found("events that are no interest", (~positive_R).sum(), "left out", address(raw, ~positive_R))
    if not kept_R.any():
        raise ProtocolError(f"{raw.path} holds no interaction")
    order = np.lexsort((row_R, columns.order_R, columns.user_R))
    row_E = order[kept_R[order]]
    columns = columns.at(row_E)
    real_ms_E, backwards_E = rising_times(columns)
    findings += found(
        "times that go backwards against the position",
        backwards_E.sum(),
        "the position counts",
        _row(raw, row_E, backwards_E),
    )
    findings += user_findings(columns) + item_findings(columns, items)
    catalogue = Catalogue(items.get(name, CatalogueItem(name)) for name in columns.item_names)
    return Interactions(make_log(columns, baskets), real_ms_E, row_E, catalogue, findings)


def read_columns(raw: RawTable) -> Columns:
    """Return the cells; MalformedFileError for one that is empty or cannot be read."""
    user_R, user_names = _named(raw, "user_id")
    item_R, item_names = _named(raw, "item_id")
    at_ms_R = times(raw, "timestamp", UTC) if "timestamp" in raw.columns else np.full(raw.num_rows, NOT_A_TIME)
    order_R = _positions(raw) if "position" in raw.columns else at_ms_R
    if "position" not in raw.columns:
        _refuse(raw, "timestamp", at_ms_R == NOT_A_TIME, "expected a time: the file has no position to order by")
    bought = EVENT_TYPE_CODES[EventType.PURCHASE]
    type_R = (
        event_types(raw, "event", EVENT_ALIASES) if "event" in raw.columns else np.full(raw.num_rows, bought, np.int16)
    )
    return Columns(user_R, user_names, item_R, item_names, order_R, at_ms_R, type_R)


def _named(raw: RawTable, column: str) -> tuple[LongArray, tuple[str, ...]]:
    """Return a code for each row, in the order of the names: numbers by size, texts by spelling."""
    coded = identifiers(raw, column)
    names = [name or "" for name in coded.dictionary.to_pylist()]
    code_R = dictionary_codes(coded)
    wrong_K = np.array([name in ("", INVALID) for name in names] + [True])
    _refuse(raw, column, wrong_K[code_R], "expected an identifier of 1 to 128 printable characters")
    ordered = sorted(set(names), key=lambda name: (not name.isdecimal(), len(name) if name.isdecimal() else 0, name))
    place_of = {name: place for place, name in enumerate(ordered)}
    return np.array([place_of[name] for name in names], np.int64)[code_R], tuple(ordered)


def _positions(raw: RawTable) -> LongArray:
    number_R = numbers(raw, "position")
    whole_R = np.isfinite(number_R) & (number_R == np.floor(number_R)) & (number_R >= 0)
    _refuse(raw, "position", ~whole_R, "expected a whole number from 0 on")
    return number_R.astype(np.int64)


def _refuse(raw: RawTable, column: str, wrong_R: BoolArray, message: str) -> None:
    if wrong_R.any():
        raise raw.malformed(int(np.argmax(wrong_R)), column, message)


def repeated(columns: Columns) -> BoolArray:
    """Return which rows say what an earlier row has said: same user, item, event type, position and time."""
    keys = (columns.order_R, columns.at_ms_R, columns.type_R, columns.item_R, columns.user_R)
    order = np.lexsort((np.arange(len(columns.user_R)), *keys))
    same = np.ones(max(len(order) - 1, 0), np.bool_)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    again_R = np.zeros(len(order), np.bool_)
    again_R[order[1:][same]] = True
    return again_R


def rising_times(columns: Columns) -> tuple[LongArray, BoolArray]:
    """Return real times that never fall within a user, and where they did; what is unknown stays unknown."""
    at_ms_E, user_E = columns.at_ms_R, columns.user_R
    known_E = at_ms_E != NOT_A_TIME
    if not len(at_ms_E) or not known_E.any():
        return at_ms_E, np.zeros(len(at_ms_E), np.bool_)
    # Users one after the other on one axis, so that one running maximum serves all of them.
    span = int(at_ms_E[known_E].max() - at_ms_E[known_E].min()) + 1
    shifted_E = np.where(known_E, at_ms_E - at_ms_E[known_E].min(), 0) + user_E * span
    highest_E = np.maximum.accumulate(shifted_E)
    backwards_E = known_E & (shifted_E < highest_E)
    risen_E = highest_E - user_E * span + at_ms_E[known_E].min()
    return np.where(known_E, risen_E, NOT_A_TIME), backwards_E


def make_log(columns: Columns, baskets: bool) -> EventLog:
    """Return the product's log; columns are in order."""
    user_E, size = columns.user_R, len(columns.user_R)
    start_U1 = np.searchsorted(user_E, np.arange(len(columns.user_names) + 1)).astype(np.int64)
    new_E = np.ones(size, np.int64)
    if baskets:
        new_E[1:] = (user_E[1:] != user_E[:-1]) | (columns.order_R[1:] != columns.order_R[:-1])
    moment_E = np.cumsum(new_E)
    step_E = moment_E - np.repeat(moment_E[np.minimum(start_U1[:-1], size - 1)], np.diff(start_U1))
    nothing_E = np.full(size, np.nan, np.float32)
    events = EventWindow(
        columns.item_R.astype(np.int32), columns.type_R.astype(np.int8), step_E * STEP_MS, nothing_E, nothing_E
    )
    return EventLog(columns.user_names, start_U1, events, nothing_E, (Context(),), np.zeros(size, np.int32))


def user_findings(columns: Columns) -> tuple[Finding, ...]:
    """Count users who leave too little."""
    count_U = np.bincount(columns.user_R, minlength=len(columns.user_names))
    return found(
        "empty users", (count_U == 0).sum(), "neither learned from nor asked", _user(columns, count_U == 0)
    ) + found("one-item users", (count_U == 1).sum(), "learned from, not asked", _user(columns, count_U == 1))


def item_findings(columns: Columns, items: Mapping[str, CatalogueItem]) -> tuple[Finding, ...]:
    """Count items that only one of the two files knows."""
    if not items:
        return ()
    known = set(columns.item_names)
    strange = [name for name in columns.item_names if name not in items]
    idle = [name for name in items if name not in known]
    return found(
        "items that items.parquet does not describe", len(strange), "ranked without features", _first(strange)
    ) + found("items without an interaction", len(idle), "not ranked", _first(idle))


def address(raw: RawTable, mask_R: BoolArray) -> str:
    """Return file and row of the first row that a mask holds."""
    return f"{raw.path.name} row {int(np.argmax(mask_R)) + 1}" if mask_R.any() else ""


def _row(raw: RawTable, row_E: npt.NDArray[Any], mask_E: BoolArray) -> str:
    return f"{raw.path.name} row {int(row_E[mask_E].min()) + 1}" if mask_E.any() else ""


def _user(columns: Columns, mask_U: BoolArray) -> str:
    return f"user {columns.user_names[int(np.argmax(mask_U))]}" if mask_U.any() else ""


def _first(names: Sequence[str]) -> str:
    return f"item {names[0]}" if names else ""
