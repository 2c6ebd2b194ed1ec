"""How much more often a kind of shopper or moment buys a category: smoothed log(P(category|value) / P(category)).

Called by   services/training (fit on the training period), shared/models/bundle.py (store), candidates.py (read)
Fields      hour, weekday, season, device, network, store, region, age_band, gender, and "attribute:<name>" for every
            attribute of a profile: whatever affinity_values() names
Categories  top-category NAMES, one vocabulary for all tables: the catalogue's own codes grow and never enter a bundle
Unknown     value or category: 0, that is "no different from everybody"
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from shared.features.events import FloatArray, IntArray
from shared.features.vocabulary import Vocabulary

PRIOR_EVENTS = 50.0
"""a value's own shares count as much as everybody's only after this many events"""


class NamedColumn(Protocol):
    """One value an event: `names[code]`; code 0 is unknown, so names[0] is never read."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def code_E(self) -> IntArray: ...


@dataclass(frozen=True)
class FieldColumn:
    """A NamedColumn of its own."""

    names: Sequence[str]
    code_E: IntArray

    @staticmethod
    def of(values: Sequence[str | None]) -> "FieldColumn":
        """Return the column of plain values."""
        names = ["", *sorted({value for value in values if value})]
        code_of = {name: code for code, name in enumerate(names)}
        return FieldColumn(names, np.array([code_of[value or ""] for value in values], np.int32))


@dataclass(frozen=True)
class AffinityTable:
    """The lifts of one field; row 0 and column 0 are unknown and hold zeros."""

    values: Vocabulary
    lift_VK: FloatArray


@dataclass(frozen=True)
class AffinityTables:
    """One table a field, over the same top categories."""

    categories: Vocabulary
    tables: Mapping[str, AffinityTable]

    def lift_QK(self, field: str, values: Sequence[str | None]) -> FloatArray | None:
        """Return the lift of each value for every category, 0 for an unknown value; None when none is known."""
        table = self.tables.get(field)
        code_Q = table.values.codes(values) if table else np.zeros(len(values), np.int32)
        return table.lift_VK[code_Q] if table and code_Q.any() else None

    def to_json(self) -> dict[str, Any]:
        """Return names and numbers for the bundle."""
        return {
            "categories": list(self.categories.names),
            "tables": {
                field: {"values": list(table.values.names), "lift": table.lift_VK.tolist()}
                for field, table in self.tables.items()
            },
        }

    @staticmethod
    def from_json(stored: Mapping[str, Any]) -> "AffinityTables":
        """Return the tables of `to_json`; ValueError when names and numbers do not fit."""
        categories, tables = Vocabulary(stored["categories"]), {}
        for field, table in stored["tables"].items():
            values, lift_VK = Vocabulary(table["values"]), np.array(table["lift"], np.float32)
            if lift_VK.shape != (len(values), len(categories)):
                raise ValueError(f"affinity table {field!r} does not fit its names")
            tables[field] = AffinityTable(values, lift_VK)
        return AffinityTables(categories, tables)


NO_AFFINITY = AffinityTables(Vocabulary([]), {})


def fit_affinity(
    fields: Mapping[str, NamedColumn], category: NamedColumn, weight_E: npt.NDArray[np.float64] | None = None
) -> AffinityTables:
    """Return one table a field, from events that each have a top category and some of the fields."""
    weight_E = np.ones(len(category.code_E)) if weight_E is None else weight_E
    tables = {field: _fit_table(column, category, weight_E) for field, column in sorted(fields.items())}
    return AffinityTables(Vocabulary(category.names[1:]), tables)


def _fit_table(column: NamedColumn, category: NamedColumn, weight_E: npt.NDArray[np.float64]) -> AffinityTable:
    """The base rate is that of the events which have the field: demographics are known of some shoppers only."""
    V, K = len(column.names), len(category.names)
    known_E = (column.code_E > 0) & (category.code_E > 0)
    cell_E = column.code_E[known_E].astype(np.int64) * K + category.code_E[known_E]
    count_VK = np.bincount(cell_E, weight_E[known_E], minlength=V * K).reshape(V, K)[1:, 1:]
    total_K = count_VK.sum(axis=0)
    # Half an event for each category keeps the lift of one that was never seen finite, and zero.
    base_K = (total_K + 0.5) / (total_K.sum() + 0.5 * max(K - 1, 1))
    share_VK = (count_VK + PRIOR_EVENTS * base_K) / (count_VK.sum(axis=1, keepdims=True) + PRIOR_EVENTS)
    lift_VK = np.zeros((V, K), np.float32)
    lift_VK[1:, 1:] = np.log(share_VK / base_K)
    return AffinityTable(Vocabulary(column.names[1:]), lift_VK)
