"""The one place where events are cleaned: what is missing, impossible, doubled, unknown, or made by a machine.

Called by   services/training/importing (before anything is stored), services/training/pipeline.py (on the event log)
In          a pyarrow table with REQUIRED_COLUMNS; further columns travel along; event_id and order_id are read if there
Out         Cleaned: the rows kept, in their order, some of them corrected; the rows rejected, each with the name of the
            first rule it broke; and the count of every rule
Rules       RULES, in the order in which they are applied; a rule sees only rows that the rules before it kept
Speed       whole columns; 1.5 million rows take about two seconds
Errors      KeyError naming a required column that is missing
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from shared.contracts.events import EVENT_TYPE_CODES, MAX_FUTURE_S, EventType

REQUIRED_COLUMNS = ("user_key", "item_id", "type", "at_ms", "quantity", "price")
BASKET_CODES = [EVENT_TYPE_CODES[EventType.PURCHASE], EVENT_TYPE_CODES[EventType.REFUND]]
SEARCH_CODE = EVENT_TYPE_CODES[EventType.SEARCH]
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

Action = Literal["rejected", "corrected"]
BoolArray = npt.NDArray[np.bool_]
LongArray = npt.NDArray[np.int64]

RULES: dict[str, tuple[Action, str]] = {
    "missing_user": ("rejected", "no shopper"),
    "missing_item": ("rejected", "no item, and not a search"),
    "missing_time": ("rejected", "no time"),
    "implausible_time": ("rejected", "before 2000, or in the future"),
    "missing_quantity": ("corrected", "a purchase or refund without quantity: taken as 1"),
    "quantity_not_positive": ("rejected", "quantity of 0 or less"),
    "negative_price": ("rejected", "price below 0"),
    "unknown_item": ("rejected", "an item that the catalogue does not hold"),
    "duplicate": ("rejected", "the event id, or shopper, type, item, time and order, of an earlier row"),
    "bot_like_user": ("rejected", "all events of a shopper with far more actions in an hour or a day than others"),
    "measured_quantity": ("corrected", "an item sold in thousandths (fuel): quantity 1 at the price of the line"),
    "quantity_outlier": ("corrected", "far above the item's usual quantity: taken as the usual one"),
    "price_outlier": ("corrected", "far from the item's usual price: taken as unknown"),
}


@dataclass(frozen=True)
class CleaningLimits:
    """Where the rules draw their lines."""

    earliest_ms: int = 946_684_800_000
    measured_from: float = 1_000.0
    """an item whose usual quantity is this or more is measured, not counted"""
    large_quantity: float = 100.0
    quantity_factor: float = 20.0
    price_factor: float = 20.0
    min_priced_rows: int = 10
    """rows an item must have before its usual price means something"""
    actions_per_hour: float = 600.0
    actions_per_day: float = 3_000.0
    rate_factor: float = 20.0
    """a bot's busiest hour (day) is also this many times the median of all shoppers' busiest hours (days)"""


@dataclass(frozen=True)
class RuleCount:
    """How often one rule struck."""

    rule: str
    action: Action
    rows: int
    meaning: str


@dataclass(frozen=True)
class CleaningReport:
    """What cleaning did; every rule is listed, also those that struck nothing."""

    rows_read: int
    rows_kept: int
    rules: tuple[RuleCount, ...]

    def count(self, rule: str) -> int:
        """Return the number of rows a rule struck."""
        return next(one.rows for one in self.rules if one.rule == rule)


@dataclass(frozen=True)
class Cleaned:
    """Every row of the input is in exactly one of the two tables."""

    kept: Any
    rejected: Any
    """the input's columns, unchanged, and `reason`"""
    rejected_row: LongArray
    """where the rejected rows stood in the input"""
    report: CleaningReport


def clean(
    events: Any,
    known_items: Collection[str] | None = None,
    now_ms: int | None = None,
    limits: CleaningLimits = CleaningLimits(),
) -> Cleaned:
    """Apply every rule; without `known_items` no item is unknown, without `now_ms` no time is in the future."""
    sieve = _Sieve(events, limits)
    sieve.reject_missing(events, now_ms)
    sieve.reject_impossible()
    if known_items is not None:
        sieve.reject_unknown(known_items)
    sieve.reject_duplicates(events)
    sieve.reject_bots()
    sieve.correct_quantities()
    sieve.correct_prices()
    return sieve.result(events)


def measured_items(item_E: LongArray, quantity_E: npt.NDArray[np.float64], limits: CleaningLimits) -> BoolArray:
    """Return for each item code whether its quantities are thousandths of something, not pieces."""
    usual = pd.Series(quantity_E).groupby(item_E).median()
    measured = np.zeros(int(item_E.max(initial=-1)) + 1, np.bool_)
    measured[usual.index.to_numpy()[usual.to_numpy() >= limits.measured_from]] = True
    return measured


class _Sieve:
    """The columns that rules read, and the first rule each row broke."""

    def __init__(self, events: Any, limits: CleaningLimits) -> None:
        for name in REQUIRED_COLUMNS:
            if name not in events.column_names:
                raise KeyError(name)
        self._limits = limits
        self._names = list(RULES)
        self._count = dict.fromkeys(RULES, 0)
        self._reason_E = np.full(len(events), -1, np.int8)
        self._user_E, _ = _encode(events["user_key"])
        self._item_E, self._item_names = _encode(events["item_id"])
        self._type_E = _numbers(events["type"], np.int64)
        self._at_ms_E = _numbers(events["at_ms"], np.int64)
        self._quantity_E = _numbers(events["quantity"], np.float64)
        self._price_E = _numbers(events["price"], np.float64)

    @property
    def _kept_E(self) -> BoolArray:
        return self._reason_E < 0

    def _reject(self, rule: str, broken_E: BoolArray) -> None:
        struck_E = broken_E & self._kept_E
        self._reason_E[struck_E] = self._names.index(rule)
        self._count[rule] += int(struck_E.sum())

    def _correct(self, rule: str, wrong_E: BoolArray) -> BoolArray:
        struck_E = wrong_E & self._kept_E
        self._count[rule] += int(struck_E.sum())
        return struck_E

    def reject_missing(self, events: Any, now_ms: int | None) -> None:
        self._reject("missing_user", self._user_E < 0)
        self._reject("missing_item", (self._item_E < 0) & (self._type_E != SEARCH_CODE))
        self._reject("missing_time", np.asarray(events["at_ms"].is_null()))
        late_E = self._at_ms_E > now_ms + MAX_FUTURE_S * 1000 if now_ms is not None else np.False_
        self._reject("implausible_time", (self._at_ms_E < self._limits.earliest_ms) | late_E)
        missing_E = np.isnan(self._quantity_E)
        self._correct("missing_quantity", missing_E & np.isin(self._type_E, BASKET_CODES))
        self._quantity_E = np.where(missing_E, 1.0, self._quantity_E)

    def reject_impossible(self) -> None:
        self._reject("quantity_not_positive", self._quantity_E <= 0)
        self._reject("negative_price", self._price_E < 0)

    def reject_unknown(self, known_items: Collection[str]) -> None:
        known = known_items if isinstance(known_items, set | frozenset) else frozenset(known_items)
        is_known = np.fromiter((name in known for name in self._item_names), np.bool_, len(self._item_names))
        self._reject("unknown_item", (self._item_E >= 0) & ~np.append(is_known, True)[self._item_E])

    def reject_duplicates(self, events: Any) -> None:
        rows = np.flatnonzero(self._kept_E)
        same = pd.DataFrame({"user": self._user_E, "item": self._item_E, "type": self._type_E, "at": self._at_ms_E})
        if "order_id" in events.column_names:
            same["order"] = _encode(events["order_id"])[0]
        # A search has no item: two at one moment need not be the same.
        again = same.iloc[rows].duplicated().to_numpy() & (self._item_E[rows] >= 0)
        if "event_id" in events.column_names:
            event_E, _ = _encode(events["event_id"])
            again |= pd.Series(event_E[rows]).duplicated().to_numpy() & (event_E[rows] >= 0)
        broken_E = np.zeros(len(self._reason_E), np.bool_)
        broken_E[rows[again]] = True
        self._reject("duplicate", broken_E)

    def reject_bots(self) -> None:
        """The lines of one basket are one action; every other event is one of its own."""
        rows = np.flatnonzero(self._kept_E)
        if not len(rows):
            return
        user_R, at_ms_R, basket_R = self._user_E[rows], self._at_ms_E[rows], np.isin(self._type_E[rows], BASKET_CODES)
        lines = pd.DataFrame({"user": user_R, "at": at_ms_R})[basket_R]
        action_R = np.ones(len(rows), np.bool_)
        action_R[np.flatnonzero(basket_R)[lines.duplicated().to_numpy()]] = False
        limits = self._limits
        bots = _too_fast(user_R[action_R], at_ms_R[action_R] // HOUR_MS, limits.actions_per_hour, limits.rate_factor)
        bots |= _too_fast(user_R[action_R], at_ms_R[action_R] // DAY_MS, limits.actions_per_day, limits.rate_factor)
        if bots:
            self._reject("bot_like_user", np.isin(self._user_E, list(bots)))

    def correct_quantities(self) -> None:
        rows = np.flatnonzero(self._kept_E & (self._item_E >= 0))
        item_R, quantity_R = self._item_E[rows], self._quantity_E[rows]
        measured_E, far_E = np.zeros((2, len(self._reason_E)), np.bool_)
        measured_E[rows] = measured_items(item_R, quantity_R, self._limits)[item_R]
        total_E = self._price_E * self._quantity_E
        measured_E = self._correct("measured_quantity", measured_E & (self._quantity_E != 1))
        self._price_E = np.where(measured_E, total_E, self._price_E)
        self._quantity_E = np.where(measured_E, 1.0, self._quantity_E)
        usual_R = _usual(item_R, quantity_R)
        far_R = (quantity_R > self._limits.large_quantity) & (quantity_R > self._limits.quantity_factor * usual_R)
        far_E[rows[far_R]] = True
        far_E = self._correct("quantity_outlier", far_E & ~measured_E)
        usual_E = np.ones(len(self._reason_E))
        usual_E[rows] = usual_R
        self._quantity_E = np.where(far_E, usual_E, self._quantity_E)

    def correct_prices(self) -> None:
        """A price of 0 is a gift, and no outlier."""
        rows = np.flatnonzero(self._kept_E & (self._item_E >= 0) & (self._price_E > 0))
        item_R, price_R = self._item_E[rows], self._price_E[rows]
        usual_R = _usual(item_R, price_R)
        often_R = np.bincount(item_R)[item_R] >= self._limits.min_priced_rows if len(rows) else np.empty(0, np.bool_)
        factor = self._limits.price_factor
        far_E = np.zeros(len(self._reason_E), np.bool_)
        far_E[rows[often_R & ((price_R > usual_R * factor) | (price_R < usual_R / factor))]] = True
        self._price_E = np.where(self._correct("price_outlier", far_E), np.nan, self._price_E)

    def result(self, events: Any) -> Cleaned:
        kept_E = self._kept_E
        kept = events.filter(pa.array(kept_E))
        for name, column_E in (("quantity", self._quantity_E[kept_E]), ("price", self._price_E[kept_E])):
            place, kind = kept.column_names.index(name), kept.schema.field(name).type
            kept = kept.set_column(place, name, pa.array(column_E, from_pandas=True).cast(kind, safe=False))
        rejected_row = np.flatnonzero(~kept_E)
        reasons = pa.array([self._names[code] for code in self._reason_E[rejected_row]], pa.string())
        counts = tuple(RuleCount(rule, action, self._count[rule], meaning) for rule, (action, meaning) in RULES.items())
        report = CleaningReport(len(events), len(kept), counts)
        return Cleaned(kept, events.take(rejected_row).append_column("reason", reasons), rejected_row, report)


def _encode(column: Any) -> tuple[LongArray, list[str]]:
    """Return a code for each row, -1 when missing or empty, and the names of the codes."""
    joined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(joined, pa.ChunkedArray):  # no chunk at all
        joined = pa.array([], column.type)
    coded = joined if pa.types.is_dictionary(joined.type) else joined.dictionary_encode()
    names = coded.dictionary.to_pylist()
    code_E = np.array(coded.indices.cast(pa.int64()).fill_null(-1), np.int64)
    if "" in names:
        code_E[code_E == names.index("")] = -1
    return code_E, names


def _numbers(column: Any, dtype: type[np.int64] | type[np.float64]) -> npt.NDArray[Any]:
    """Return a column as numbers; what is missing or infinite is NaN, or 0 where the type has none."""
    if dtype is np.int64:
        return np.asarray(column.fill_null(0).to_numpy()).astype(dtype)
    number_E = np.asarray(column.to_numpy()).astype(dtype)
    return np.where(np.isfinite(number_E), number_E, np.nan)


def _usual(item_R: LongArray, number_R: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the median of each row's item."""
    return np.asarray(pd.Series(number_R).groupby(item_R).transform("median"), np.float64)


def _too_fast(user_R: LongArray, period_R: LongArray, floor: float, factor: float) -> set[int]:
    """Return the users whose busiest period is above `floor`, and above `factor` times what is usual for a busiest."""
    actions = pd.DataFrame({"user": user_R, "period": period_R}).groupby(["user", "period"], sort=False).size()
    busiest = actions.groupby(level="user").max()
    return set(busiest.index[busiest > max(floor, factor * busiest.median())].tolist())
