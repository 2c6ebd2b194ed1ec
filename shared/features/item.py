"""What the log and the catalogue say of an item at one moment: popularity with decay, sales, rating, price, age.

Called by   services/training (measure_activity over the log up to the end of the training data),
            candidates.py (item_features at a request)
In          events of all shoppers as columns, in any one fixed order; only those strictly before as_of_ms count
Stored      ItemActivity travels in the bundle under item ids, never catalogue rows
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.catalogue import Catalogue
from shared.features.definition import FeatureDefinition
from shared.features.events import PURCHASE_CODE, FloatArray, IntArray, LongArray
from shared.features.user import DAY_MS, TASTE_WEIGHT

POPULARITY_HALF_LIFE_DAYS = 14.0
SALES_DAYS = 30
NEWNESS_HALF_LIFE_DAYS = 30.0
PRIOR_RATING = 3.5
PRIOR_RATINGS = 5.0
"""the mean of an item's ratings counts as much as PRIOR_RATING only after this many"""
RATING_CODE = EVENT_TYPE_CODES[EventType.RATING]


def _item(name: str, window: str, default: float, meaning: str) -> FeatureDefinition:
    return FeatureDefinition(name, "item", "float32", window, default, meaning)


ITEM_DEFINITIONS = (
    _item("log_popularity", "half-life 14 d", 0.0, "log(1 + decayed events, each by its weight of taste)"),
    _item("log_sales", "30 d", 0.0, "log(1 + units sold in the last 30 days)"),
    _item("rating", "now", PRIOR_RATING, "the shop's own mean rating, else the mean of rating events, 0 to 5"),
    _item("price_position", "now", 0.5, "place among the prices of its category, 0 cheapest to 1 dearest"),
    _item("log_price", "now", 0.0, "log(1 + price); 0 when unknown"),
    _item("newness", "half-life 30 d", 0.0, "1 on the day the item was created; 0 when unknown or not yet created"),
)
ITEM_FEATURES = tuple(definition.name for definition in ITEM_DEFINITIONS)


@dataclass(frozen=True)
class LogColumns:
    """Events of all shoppers; every array has length E."""

    row_E: IntArray
    """the item's place among num_items; -1 is left out"""
    type_E: npt.NDArray[np.int8]
    at_ms_E: LongArray
    quantity_E: FloatArray
    value_E: FloatArray
    """the stars of a rating event; NaN or money otherwise"""


@dataclass(frozen=True)
class ItemActivity:
    """What V items did up to one moment."""

    item_ids: Sequence[str]
    log_popularity_V: FloatArray
    log_sales_V: FloatArray
    rating_V: FloatArray
    """PRIOR_RATING when nobody rated it"""
    code_of: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "code_of", {item_id: code for code, item_id in enumerate(self.item_ids)})

    def to_json(self) -> dict[str, list[float]]:
        """Return the numbers; the bundle stores the ids once, as its item vocabulary."""
        return {
            "log_popularity": self.log_popularity_V.tolist(),
            "log_sales": self.log_sales_V.tolist(),
            "rating": self.rating_V.tolist(),
        }

    @staticmethod
    def from_json(item_ids: Sequence[str], stored: Mapping[str, Sequence[float]]) -> "ItemActivity":
        """Return the activity of `to_json`; ValueError when the lengths differ."""
        columns = [np.array(stored[name], np.float32) for name in ("log_popularity", "log_sales", "rating")]
        if any(len(column_V) != len(item_ids) for column_V in columns):
            raise ValueError("item activity does not fit the item ids")
        return ItemActivity(item_ids, *columns)


def measure_activity(log: LogColumns, item_ids: Sequence[str], as_of_ms: int) -> ItemActivity:
    """Return the activity of the items at `as_of_ms`; sums run in the order of the log."""
    past_E = (log.at_ms_E < as_of_ms) & (log.row_E >= 0)
    row_P, type_P, at_ms_P = log.row_E[past_E], log.type_E[past_E], log.at_ms_E[past_E]
    decay_P = np.exp2((at_ms_P - as_of_ms) / (POPULARITY_HALF_LIFE_DAYS * DAY_MS))
    popularity_V = np.bincount(row_P, TASTE_WEIGHT[type_P] * decay_P, minlength=len(item_ids))
    sold_P = (type_P == PURCHASE_CODE) & (at_ms_P >= as_of_ms - SALES_DAYS * DAY_MS)
    sales_V = np.bincount(row_P[sold_P], log.quantity_E[past_E][sold_P], minlength=len(item_ids))
    value_P = log.value_E[past_E]
    rated_P = (type_P == RATING_CODE) & ~np.isnan(value_P)
    stars_V = np.bincount(row_P[rated_P], value_P[rated_P], minlength=len(item_ids))
    ratings_V = np.bincount(row_P[rated_P], minlength=len(item_ids))
    rating_V = (stars_V + PRIOR_RATING * PRIOR_RATINGS) / (ratings_V + PRIOR_RATINGS)
    return ItemActivity(
        item_ids,
        np.log1p(popularity_V).astype(np.float32),
        np.log1p(sales_V).astype(np.float32),
        rating_V.astype(np.float32),
    )


class AlignedActivity:
    """An activity read by catalogue row. Items the activity does not know have the defaults.

    The catalogue only appends rows, so each call aligns the rows that are new since the last one.
    """

    def __init__(self, activity: ItemActivity, catalogue: Catalogue) -> None:
        self._activity, self._catalogue = activity, catalogue
        self._code_N = np.empty(0, np.int32)
        self._columns = [
            np.append(column_V, np.float32(default))
            for column_V, default in (
                (activity.log_popularity_V, 0.0),
                (activity.log_sales_V, 0.0),
                (activity.rating_V, PRIOR_RATING),
            )
        ]

    def take(self, rows_C: IntArray) -> list[FloatArray]:
        """Return log_popularity, log_sales and rating of the rows."""
        if len(self._code_N) < len(self._catalogue):
            self._align()
        code_C = self._code_N[rows_C]
        return [column[code_C] for column in self._columns]

    def _align(self) -> None:
        code_of, items = self._activity.code_of, self._catalogue.items
        fresh = [code_of.get(item.item_id, -1) for item in items[len(self._code_N) :]]
        self._code_N = np.concatenate([self._code_N, np.array(fresh, np.int32)])


def item_features(
    rows_C: IntArray, catalogue: Catalogue, activity: AlignedActivity, as_of_ms: int | LongArray | np.int64
) -> npt.NDArray[np.float32]:
    """Return [C, len(ITEM_FEATURES)] for rows of the catalogue at one moment, or each at its own; price and rating are
    those of now.
    """
    matrix_CF = np.empty((len(rows_C), len(ITEM_FEATURES)), np.float32)
    popularity_C, sales_C, events_rating_C = activity.take(rows_C)
    own_rating_C, price_C = catalogue.rating_N[rows_C], catalogue.price_N[rows_C]
    created_C: npt.NDArray[Any] = catalogue.created_ms_N[rows_C]
    age_days_C = np.maximum(as_of_ms - created_C, 0) / DAY_MS
    matrix_CF[:, 0] = popularity_C
    matrix_CF[:, 1] = sales_C
    matrix_CF[:, 2] = np.where(np.isnan(own_rating_C), events_rating_C, own_rating_C)
    matrix_CF[:, 3] = catalogue.price_position_N[rows_C]
    matrix_CF[:, 4] = np.where(np.isnan(price_C), 0.0, np.log1p(price_C))
    known_C = (created_C > 0) & (created_C < as_of_ms)
    matrix_CF[:, 5] = np.where(known_C, np.exp2(-age_days_C / NEWNESS_HALF_LIFE_DAYS), 0.0)
    return matrix_CF
