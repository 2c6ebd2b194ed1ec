"""The catalogue as columns: one row an item, rows never move, new items are appended.

Called by   shared/storage/live_catalogue.py (serving: rows change with the change stream),
            services/training (a snapshot at training time)
Rows        every other part of Aisle speaks of an item by its row in here; -1 is "not in the catalogue"
Names       categories, brands and paths are coded by CodeBook, which only grows; code 0 is unknown
Paths       a path is all of an item's categories, broadest first: "bread" below two departments is two paths
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.features.attribute_column import AttributeColumn
from shared.features.events import FloatArray, IntArray, LongArray, rows_of

UNKNOWN = ""
PATH_SEPARATOR = "\x1f"
NO_END_MS = 2**62


class CodeBook:
    """Names to codes, growing; code 0 is the unknown name."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names: list[str] = [UNKNOWN]
        self._codes: dict[str, int] = {UNKNOWN: 0}
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return len(self.names)

    def add(self, name: str | None) -> int:
        """Return the code of a name, giving it one if it is new."""
        key = name or UNKNOWN
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = len(self.names)
            self.names.append(key)
        return code

    def code(self, name: str | None) -> int:
        """Return the code of a name, 0 if it is not known."""
        return self._codes.get(name or UNKNOWN, 0)


@dataclass(frozen=True)
class CatalogueItem:
    """One product as features see it."""

    item_id: str
    is_integer: bool = False
    """the shop speaks of this item by a JSON integer"""
    title: str | None = None
    description: str | None = None
    categories: tuple[str, ...] = ()
    """path, broadest first"""
    brand: str | None = None
    price: float | None = None
    currency: str | None = None
    stock: int | None = None
    """None: not tracked, the item can be sold"""
    rating: float | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    image_url: str | None = None
    available_from: datetime | None = None
    available_until: datetime | None = None
    created_at: datetime | None = None
    deleted: bool = False


def to_ms(moment: datetime | None, default: int) -> int:
    """Return a moment as epoch milliseconds."""
    return default if moment is None else int(moment.timestamp() * 1000)


class Catalogue:
    """Items in columns of length N. Not thread-safe: one writer, and readers in the same thread."""

    def __init__(self, items: Iterable[CatalogueItem] = ()) -> None:
        self.items: list[CatalogueItem] = []
        self.row_of: dict[str, int] = {}
        self.folded_titles: list[str] = []
        """titles without case, for filters; "" when unknown"""
        self.categories = CodeBook()
        self.brands = CodeBook()
        self.paths = CodeBook()
        self.path_names: list[tuple[str, ...]] = [()]
        self._paths_through: dict[str, list[int]] = {}
        self._attributes: dict[str, AttributeColumn] = {}
        self._allocate(1024)
        self.upsert(items)

    def __len__(self) -> int:
        return len(self.items)

    def _allocate(self, capacity: int) -> None:
        self._top = np.zeros(capacity, np.int32)
        self._leaf = np.zeros(capacity, np.int32)
        self._path = np.zeros(capacity, np.int32)
        self._brand = np.zeros(capacity, np.int32)
        self._price = np.full(capacity, np.nan, np.float32)
        self._rating = np.full(capacity, np.nan, np.float32)
        self._stock = np.zeros(capacity, np.int64)
        self._from = np.zeros(capacity, np.int64)
        self._until = np.zeros(capacity, np.int64)
        self._created = np.zeros(capacity, np.int64)
        self._deleted = np.zeros(capacity, np.bool_)
        self._position = np.full(capacity, 0.5, np.float32)

    def _grow(self) -> None:
        used = len(self.items)
        for name in [key for key, column in vars(self).items() if isinstance(column, np.ndarray)]:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column[:used], np.zeros(max(used, 1024), column.dtype)]))

    def upsert(self, items: Iterable[CatalogueItem]) -> None:
        """Add items or replace known ones; price positions of the touched paths are computed anew."""
        touched = {path for item in items for path in self._put(item)}
        if touched:
            self._place_prices(touched)

    def _put(self, item: CatalogueItem) -> tuple[int, int]:
        """Write one row; return the path it was in and the one it is in."""
        row = self.row_of.get(item.item_id)
        if row is None:
            row = len(self.items)
            if row == len(self._top):
                self._grow()
            self.row_of[item.item_id] = row
            self.items.append(item)
            self.folded_titles.append("")
        else:
            self.items[row] = item
        self.folded_titles[row] = (item.title or UNKNOWN).casefold()
        path_before = int(self._path[row])
        path = item.categories or (UNKNOWN,)
        self._path[row] = self._path_code(item.categories)
        self._top[row] = self.categories.add(path[0])
        self._leaf[row] = self.categories.add(path[-1])
        self._brand[row] = self.brands.add(item.brand)
        self._price[row] = np.nan if item.price is None else item.price
        self._rating[row] = np.nan if item.rating is None else item.rating
        self._stock[row] = NO_END_MS if item.stock is None else item.stock
        self._from[row] = to_ms(item.available_from, 0)
        self._until[row] = to_ms(item.available_until, NO_END_MS)
        self._created[row] = to_ms(item.created_at, 0)
        self._deleted[row] = item.deleted
        for name, column in self._attributes.items():
            column.put(row, item.attributes.get(name))
        return path_before, int(self._path[row])

    def _path_code(self, categories: tuple[str, ...]) -> int:
        known = len(self.paths)
        code = self.paths.add(PATH_SEPARATOR.join(categories))
        if code == known:
            self.path_names.append(categories)
            for name in dict.fromkeys(categories):
                self._paths_through.setdefault(name, []).append(code)
        return code

    def _place_prices(self, paths: set[int]) -> None:
        """Set each item's place among the prices of its path: 0 cheapest, 1 dearest, 0.5 unknown or alone."""
        rows = np.flatnonzero(np.isin(self.path_N, list(paths)))
        price = self._price[rows]
        self._position[rows] = 0.5
        known = rows[~np.isnan(price)]
        if not len(known):
            return
        order = known[np.lexsort((self._price[known], self._path[known]))]
        path = self._path[order]
        starts = np.flatnonzero(np.diff(path, prepend=-1))
        for start, stop in zip(starts, np.append(starts[1:], len(path)), strict=True):
            if stop - start > 1:
                prices = self._price[order[start:stop]]
                middle = (np.searchsorted(prices, prices, "left") + np.searchsorted(prices, prices, "right") - 1) / 2
                self._position[order[start:stop]] = middle / (stop - start - 1)

    @property
    def top_category_N(self) -> IntArray:
        """Code of the broadest category."""
        return self._top[: len(self.items)]

    @property
    def leaf_category_N(self) -> IntArray:
        """Code of the narrowest category."""
        return self._leaf[: len(self.items)]

    @property
    def path_N(self) -> IntArray:
        """Code of all categories together, in `paths`."""
        return self._path[: len(self.items)]

    def paths_through(self, category: str) -> IntArray:
        """Return the codes of the paths that hold a category anywhere."""
        return np.array(self._paths_through.get(category, []), np.int32)

    @property
    def brand_N(self) -> IntArray:
        """Code of the brand."""
        return self._brand[: len(self.items)]

    @property
    def price_N(self) -> FloatArray:
        """Price now, in the shop's currency; NaN when unknown."""
        return self._price[: len(self.items)]

    @property
    def price_position_N(self) -> FloatArray:
        """Place among the prices of the same path, 0 cheapest to 1 dearest."""
        return self._position[: len(self.items)]

    @property
    def rating_N(self) -> FloatArray:
        """Mean rating 0 to 5; NaN when unknown."""
        return self._rating[: len(self.items)]

    @property
    def created_ms_N(self) -> LongArray:
        """When the item entered the catalogue; 0 when unknown."""
        return self._created[: len(self.items)]

    @property
    def stock_N(self) -> LongArray:
        """Units in stock; very large when not tracked."""
        return self._stock[: len(self.items)]

    @property
    def tracked_N(self) -> npt.NDArray[np.bool_]:
        """Whether the shop counts the units of the item."""
        return np.asarray(self.stock_N != NO_END_MS, np.bool_)

    def attribute(self, name: str) -> AttributeColumn:
        """Return one attribute as a column; it is made at the first call and kept when some item has it."""
        column = self._attributes.get(name)
        if column is None:
            column = AttributeColumn(item.attributes.get(name) for item in self.items)
            if len(column.values) > 1:
                self._attributes[name] = column
        return column

    def sellable(self, rows: IntArray, now_ms: int) -> npt.NDArray[np.bool_]:
        """Return which rows can be sold now: not deleted, in stock, inside their dates."""
        in_dates = (self._from[rows] <= now_ms) & (now_ms < self._until[rows])
        return np.asarray(~self._deleted[rows] & (self._stock[rows] > 0) & in_dates, np.bool_)

    def rows(self, item_ids: Sequence[str]) -> IntArray:
        """Return the row of each id, -1 for ids the catalogue does not know."""
        return rows_of(item_ids, self.row_of)

    def public_id(self, row: int) -> str | int:
        """Return an item's id as the shop writes it."""
        item = self.items[row]
        return int(item.item_id) if item.is_integer else item.item_id
