"""A shopper's stored events between the stores and the features, and the compact form in which services send them.

Called by   shared/storage (makes them), services/feature (cuts and sends), services/ranking (receives)
Order       oldest first, by (time, event id), as every reader of events expects
Wire        EventColumns: identifiers joined by line feeds, which no identifier holds, and one fixed record an event in
            base64. Lists of numbers as JSON took a millisecond more of every personal answer
Errors      MalformedEventsError when the two halves do not fit, or the records are cut
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.contracts.internal import WINDOW_SIZE, EventColumns
from shared.features.events import EventWindow, rows_of

RECORD = np.dtype([("at_ms", "<i8"), ("type", "i1"), ("price", "<f4"), ("quantity", "<f4")])
"""epoch milliseconds, EVENT_TYPE_CODES, price per unit (NaN when unknown), quantity; 17 bytes, not aligned"""
SEPARATOR = "\n"


class MalformedEventsError(ValueError):
    """The columns of a shopper's events do not fit together."""


@dataclass(frozen=True, eq=False)
class ShopperEvents:
    """Events of one shopper; both members have the same length."""

    item_id: Sequence[str]
    """empty for a search"""
    record_E: npt.NDArray[np.void]
    """RECORD"""

    def __len__(self) -> int:
        return len(self.item_id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ShopperEvents):
            return NotImplemented
        return self.item_id == other.item_id and self.record_E.tobytes() == other.record_E.tobytes()

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def at_ms_E(self) -> npt.NDArray[np.int64]:
        """Return the times."""
        return np.ascontiguousarray(self.record_E["at_ms"])

    def before(self, as_of_ms: int, limit: int = WINDOW_SIZE) -> "ShopperEvents":
        """Return the newest `limit` events strictly before a moment; until there are others, the same object."""
        stop = int(np.searchsorted(self.at_ms_E, as_of_ms, side="left"))
        kept = (max(0, stop - limit), stop)
        if kept not in self._newest_cut:
            self._newest_cut.clear()
            self._newest_cut[kept] = ShopperEvents(self.item_id[slice(*kept)], self.record_E[slice(*kept)])
        return self._newest_cut[kept]

    def window(self, row_of: Mapping[str, int]) -> EventWindow:
        """Return the columns that features read; `row_of` is the catalogue's, to which rows are only added.

        Of events that are asked again it is kept: looking up 512 identifiers takes half as long as all features.
        """
        known = self._newest_window.get(len(row_of))
        if known is not None and known[0] is row_of:
            return known[1]
        column = {name: np.ascontiguousarray(self.record_E[name]) for name in ("type", "price", "quantity")}
        window = EventWindow(
            rows_of(self.item_id, row_of), column["type"], self.at_ms_E, column["price"], column["quantity"]
        )
        self._newest_window.clear()
        self._newest_window[len(row_of)] = row_of, window
        return window

    @cached_property
    def _newest_cut(self) -> dict[tuple[int, int], "ShopperEvents"]:
        return {}

    @cached_property
    def _newest_window(self) -> dict[int, tuple[Mapping[str, int], EventWindow]]:
        return {}

    def packed(self) -> EventColumns:
        """Return the wire form."""
        return EventColumns.model_construct(
            item_ids=SEPARATOR.join(self.item_id), records=b64encode(self.record_E.tobytes()).decode("ascii")
        )


NO_EVENTS = ShopperEvents([], np.empty(0, RECORD))


def unpacked(columns: EventColumns) -> ShopperEvents:
    """Return the events of the wire form."""
    try:
        record_E = np.frombuffer(b64decode(columns.records, validate=True), RECORD)
    except (binascii.Error, ValueError) as error:
        raise MalformedEventsError("the records of the state's events are not whole") from error
    item_id = columns.item_ids.split(SEPARATOR) if len(record_E) or columns.item_ids else []
    if len(item_id) != len(record_E):
        raise MalformedEventsError("the event columns of the state differ in length")
    return ShopperEvents(item_id, record_E)


def shopper_events(rows: Sequence[tuple[str, int, int, float | None, float]]) -> ShopperEvents:
    """Return events given as (item id, time in ms, type code, price or None, quantity), already in order."""
    record_E = np.empty(len(rows), RECORD)
    columns: Any = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    item_id, record_E["at_ms"], record_E["type"], price, record_E["quantity"] = columns
    record_E["price"] = np.array(price, np.float32)  # None becomes NaN
    return ShopperEvents(list(item_id), record_E)
