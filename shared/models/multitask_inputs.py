"""What the multi-task ranker reads, as arrays: its fields, and requests with their candidates and histories.

Called by   services/training/multitask (examples), services/ranking (a request), benchmarks/ctr; no torch here
Dimensions  R requests, N candidates of all requests (request by request), L newest events, H fields of an event
Codes       0 is unknown in every category; events carry EVENT_TYPE_CODES + 1, so that 0 is no event
Errors      ValueError when arrays do not fit the fields or a number is not finite
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shared.features.events import FloatArray, IntArray

MAX_POSITION = 50
"""positions further down count as this one; 0 is unknown"""


@dataclass(frozen=True)
class CategoryField:
    """A category: codes from 1 to size - 1, and 0 for what is unknown."""

    name: str
    size: int


@dataclass(frozen=True)
class RankerFields:
    """The columns, by name and in their order."""

    request_numbers: tuple[str, ...]
    request_categories: tuple[CategoryField, ...]
    item_numbers: tuple[str, ...]
    item_categories: tuple[CategoryField, ...]
    history: tuple[str, ...]
    """item categories that each event of the history carries as well"""
    max_history: int
    tasks: tuple[str, ...]
    """a funnel: who does one did those before"""

    @property
    def history_places(self) -> tuple[int, ...]:
        """Return where the fields of an event stand among the item categories."""
        names = [category.name for category in self.item_categories]
        return tuple(names.index(name) for name in self.history)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> "RankerFields":
        """Return the fields of `to_json`."""
        return RankerFields(
            tuple(stored["request_numbers"]),
            tuple(CategoryField(**field) for field in stored["request_categories"]),
            tuple(stored["item_numbers"]),
            tuple(CategoryField(**field) for field in stored["item_categories"]),
            tuple(stored["history"]),
            int(stored["max_history"]),
            tuple(stored["tasks"]),
        )


@dataclass(frozen=True)
class RankerRows:
    """Requests and their candidates."""

    request_number_RF: FloatArray
    request_category_RG: IntArray
    item_number_NF: FloatArray
    item_category_NG: IntArray
    history_category_RLH: IntArray
    """newest event first; 0 behind the end"""
    history_type_RL: IntArray
    history_age_s_RL: FloatArray
    """seconds between the event and the request"""
    request_of_N: IntArray
    """ascending"""
    position_N: IntArray
    """place in the list from 1, read by training alone; 0 is unknown"""

    def __len__(self) -> int:
        return len(self.request_of_N)

    def check(self, fields: RankerFields) -> "RankerRows":
        """Return the rows themselves, if they fit the fields."""
        widths = {
            "request numbers": (self.request_number_RF, len(fields.request_numbers)),
            "request categories": (self.request_category_RG, len(fields.request_categories)),
            "item numbers": (self.item_number_NF, len(fields.item_numbers)),
            "item categories": (self.item_category_NG, len(fields.item_categories)),
            "history": (self.history_category_RLH, len(fields.history)),
        }
        for name, (array, width) in widths.items():
            if array.shape[-1] != width:
                raise ValueError(f"{name} have {array.shape[-1]} columns, not {width}")
        for name, numbers in (("request", self.request_number_RF), ("item", self.item_number_NF)):
            if not np.isfinite(numbers).all():
                raise ValueError(f"a number of the {name} is not finite")
        return self

    def of_requests(self, request_Q: IntArray) -> tuple["RankerRows", IntArray]:
        """Return some requests with all their candidates, and the places of these candidates here."""
        start_Q = np.searchsorted(self.request_of_N, request_Q, "left")
        length_Q = np.searchsorted(self.request_of_N, request_Q, "right") - start_Q
        first_Q = np.cumsum(length_Q) - length_Q
        place_M = np.arange(int(length_Q.sum())) - np.repeat(first_Q - start_Q, length_Q)
        some = RankerRows(
            self.request_number_RF[request_Q],
            self.request_category_RG[request_Q],
            self.item_number_NF[place_M],
            self.item_category_NG[place_M],
            self.history_category_RLH[request_Q],
            self.history_type_RL[request_Q],
            self.history_age_s_RL[request_Q],
            np.repeat(np.arange(len(request_Q), dtype=np.int32), length_Q),
            self.position_N[place_M],
        )
        return some, place_M.astype(np.int32)

    def at(self, place_M: IntArray) -> "RankerRows":
        """Return some candidates, ascending, of the same requests."""
        return RankerRows(
            self.request_number_RF,
            self.request_category_RG,
            self.item_number_NF[place_M],
            self.item_category_NG[place_M],
            self.history_category_RLH,
            self.history_type_RL,
            self.history_age_s_RL,
            self.request_of_N[place_M],
            self.position_N[place_M],
        )
