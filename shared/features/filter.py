"""Which items a filter lets through, over the catalogue's columns and over one item's fields alike.

Called by   services/ranking (Filter.mask on candidates), services/gateway (parse for the 400, Filter.matches on lists)
Rules       an unknown value passes no comparison, so it passes `!=` and `not in`; text compares exactly, `contains`
            without case; `category` means any category of the path; a list attribute passes when one element does
Numbers     price, rating and stock compare as float32, the catalogue's own precision, on both ways
Errors      FilterError, with the column
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any as Anything

import numpy as np
import numpy.typing as npt

from shared.features.catalogue import Catalogue
from shared.features.events import IntArray
from shared.features.filter_syntax import All, Any, Comparison, FilterError, Moment, Not, Term, Value, parse

__all__ = ["Filter", "FilterError", "parse_filter"]

BoolArray = npt.NDArray[np.bool_]
Test = Callable[[Anything, Anything], Anything]
ORDER: dict[str, Test] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS = ("price", "rating", "stock")
ATTRIBUTE = "attributes."


@dataclass(frozen=True)
class Filter:
    """A parsed filter."""

    term: Term

    def mask(self, catalogue: Catalogue, rows_C: IntArray, now_ms: int) -> BoolArray:
        """Return which rows of the catalogue pass."""
        return _mask(self.term, catalogue, rows_C, now_ms)

    def matches(self, item: Mapping[str, Anything], now_ms: int) -> bool:
        """Return whether one item passes; `item` holds the fields of POST /items, `item_id` among them."""
        return _matches(self.term, item, now_ms)


def parse_filter(text: str) -> Filter:
    """Return the filter of a text; FilterError names the column where it stops making sense."""
    return Filter(parse(text))


def _mask(term: Term, catalogue: Catalogue, rows_C: IntArray, now_ms: int) -> BoolArray:
    """Later terms of `and` and `or` look only at the rows that the earlier ones left undecided."""
    if isinstance(term, Not):
        return ~_mask(term.term, catalogue, rows_C, now_ms)
    if isinstance(term, Comparison):
        return _compare_columns(term, catalogue, rows_C, now_ms)
    passing = isinstance(term, All)
    result_C = np.full(len(rows_C), passing)
    open_C = np.arange(len(rows_C))
    for part in term.terms:
        part_C = _mask(part, catalogue, rows_C[open_C], now_ms)
        decided_C = part_C != passing
        result_C[open_C[decided_C]] = not passing
        open_C = open_C[~decided_C]
    return result_C


def _matches(term: Term, item: Mapping[str, Anything], now_ms: int) -> bool:
    if isinstance(term, Not):
        return not _matches(term.term, item, now_ms)
    if isinstance(term, All):
        return all(_matches(part, item, now_ms) for part in term.terms)
    if isinstance(term, Any):
        return any(_matches(part, item, now_ms) for part in term.terms)
    return _passes(term, _values_of(item, term.field), now_ms)


def _compare_columns(term: Comparison, catalogue: Catalogue, rows_C: IntArray, now_ms: int) -> BoolArray:
    """Texts are compared once for each distinct value, then looked up by code."""
    field = term.field
    if field in NUMBERS:
        column_C = getattr(catalogue, f"{field}_N")[rows_C].astype(np.float32)
        known_C = catalogue.tracked_N[rows_C] if field == "stock" else ~np.isnan(column_C)
        return known_C & _order(term, column_C, now_ms)
    if field == "created_at":
        created_C = catalogue.created_ms_N[rows_C]
        return (created_C > 0) & _order(term, created_C, now_ms)
    if field == "in_stock":
        return _order(term, catalogue.stock_N[rows_C] > 0, now_ms)
    if field.startswith(ATTRIBUTE):
        attribute = catalogue.attribute(field.removeprefix(ATTRIBUTE))
        return _test_distinct(term, map(_flat, attribute.values))[attribute.code_N[rows_C]]
    return _compare_texts(term, catalogue, rows_C)


def _compare_texts(term: Comparison, catalogue: Catalogue, rows_C: IntArray) -> BoolArray:
    names = [str(value) for value in term.values]
    equal, field = term.operator != "contains", term.field
    if field in ("category", "categories"):
        path_C = catalogue.path_N[rows_C]
        if equal:
            return np.isin(path_C, [code for name in names for code in catalogue.paths_through(name).tolist()])
        return _test_distinct(term, map(_flat, catalogue.path_names))[path_C]
    if field == "brand":
        brand_C = catalogue.brand_N[rows_C]
        if equal:
            return (brand_C > 0) & np.isin(brand_C, [catalogue.brands.code(name) for name in names])
        return _test_distinct(term, map(_flat, catalogue.brands.names))[brand_C]
    if field == "item_id" and equal:
        return np.isin(rows_C, catalogue.rows(names))
    if field == "title" and not equal:
        titles, part = catalogue.folded_titles, names[0].casefold()
        return np.array([titles[row] != "" and part in titles[row] for row in rows_C.tolist()], np.bool_)
    items = (catalogue.items[row] for row in rows_C.tolist())
    return _test_distinct(term, (_flat(getattr(item, field)) for item in items))


def _order(term: Comparison, column_C: npt.NDArray[Anything], now_ms: int) -> BoolArray:
    """Compare a column of numbers with one value, or with any of several."""
    test = ORDER[term.operator if term.operator != "in" else "=="]
    result_C = np.zeros(len(column_C), np.bool_)
    for value in term.values:
        result_C |= test(column_C, _number(value, now_ms) if column_C.dtype == np.float32 else _exact(value, now_ms))
    return result_C


def _number(value: Value, now_ms: int) -> Anything:
    with np.errstate(over="ignore"):
        return np.float32(_exact(value, now_ms))


def _exact(value: Value, now_ms: int) -> Anything:
    return value.resolve(now_ms) if isinstance(value, Moment) else value


def _test_distinct(term: Comparison, values: Iterable[list[Anything]]) -> BoolArray:
    return np.fromiter((_passes(term, known, 0) for known in values), np.bool_)


def _values_of(item: Mapping[str, Anything], field: str) -> list[Anything]:
    """Return the known values of a field in the precision and shape of the catalogue's columns."""
    if field in ("category", "categories"):
        return _flat(item.get("categories"))
    if field == "in_stock":
        stock = item.get("stock")
        return [stock is None or stock > 0]
    if field.startswith(ATTRIBUTE):
        return _flat((item.get("attributes") or {}).get(field.removeprefix(ATTRIBUTE)))
    value = item.get(field)
    if value is None:
        return []
    if field in NUMBERS:
        return [np.float32(value)]
    if field == "created_at":
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return [int(moment.timestamp() * 1000) if isinstance(moment, datetime) else int(moment)]
    return [str(value)] if value != "" else []


def _passes(term: Comparison, known: list[Anything], now_ms: int) -> bool:
    """Return whether one of the known values of a field passes; none are known of an unknown value."""
    if term.operator == "contains":
        part = str(term.values[0]).casefold()
        return any(isinstance(value, str) and part in value.casefold() for value in known)
    test = ORDER[term.operator if term.operator != "in" else "=="]
    convert = _number if term.field in NUMBERS else _exact
    wanted = [convert(value, now_ms) for value in term.values]
    return any(_same_kind(value, one) and bool(test(value, one)) for value in known for one in wanted)


def _same_kind(value: Anything, other: Anything) -> bool:
    """A boolean is no number, and a number no text."""
    kinds = [
        "boolean" if isinstance(one, bool | np.bool_) else "text" if isinstance(one, str) else "number"
        for one in (value, other)
    ]
    return kinds[0] == kinds[1]


def _flat(value: Anything) -> list[Anything]:
    """Return an attribute's values: the elements of a list, or the one value; nested objects have none."""
    elements = value if isinstance(value, list | tuple) else [value]
    return [one for one in elements if isinstance(one, str | int | float) and one != ""]
