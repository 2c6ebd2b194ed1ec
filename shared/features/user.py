"""What a shopper's events say of the shopper: counts, preferences and price behaviour, at one moment.

Called by   services/feature/user_state.py (as_of = now), services/training/examples (as_of = time of the impression)
In          the window already cut by events_before(window, as_of_ms), the catalogue, as_of_ms
Out         UserFeatures: float32 values in the order of USER_FEATURES, and two preferences by name
Order       every sum runs over events in their order, so the numbers do not depend on the catalogue's row order
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.contracts.events import EVENT_TYPE_CODES, EVENT_TYPES, EventType
from shared.features.catalogue import Catalogue, CodeBook
from shared.features.definition import FeatureDefinition
from shared.features.events import PURCHASE_CODE, EventWindow, FloatArray, IntArray

DAY_MS = 86_400_000
HALF_LIFE_DAYS = 60.0
MAX_DAYS = 365.0
PRIOR_PURCHASES = 5.0
"""a price behaviour counts as much as its prior only after this many (decayed) purchases"""
LOW_PRICE_POSITION = 1 / 3
MAX_PREFERENCES = 50
"""names a preference holds; the smaller shares of a shopper of very many brands are left out"""
DISCOUNT = 0.95
"""a price at or under this part of the catalogue's price was a discount"""

# How much one event says of a shopper's taste; what is not listed says nothing.
TASTE_WEIGHT = np.zeros(len(EVENT_TYPES))
for _type, _weight in {
    EventType.VIEW: 1.0,
    EventType.CLICK: 1.0,
    EventType.WISHLIST: 2.0,
    EventType.ADD_TO_CART: 3.0,
    EventType.PURCHASE: 5.0,
}.items():
    TASTE_WEIGHT[EVENT_TYPE_CODES[_type]] = _weight

FloatArray64 = npt.NDArray[np.float64]


def _user(name: str, window: str, default: float, meaning: str) -> FeatureDefinition:
    return FeatureDefinition(name, "user", "float32", window, default, meaning)


USER_DEFINITIONS = (
    _user("browse_count", "512 events", 0.0, "product views"),
    _user("click_count", "512 events", 0.0, "clicks on listed products"),
    _user("cart_count", "512 events", 0.0, "additions to the cart"),
    _user("wishlist_count", "512 events", 0.0, "additions to the wishlist"),
    _user("purchase_count", "512 events", 0.0, "purchased lines"),
    _user("rating_count", "512 events", 0.0, "ratings given"),
    _user("purchases_30d", "30 d", 0.0, "purchased lines of the last 30 days"),
    _user("distinct_items", "512 events", 0.0, "different products the shopper was positive about"),
    _user("days_since_last_event", "365 d", MAX_DAYS, "days since the newest event, at most 365"),
    _user("mean_basket_size", "512 events", 0.0, "purchased lines for each moment of purchase"),
    _user("price_level", "half-life 60 d", 0.5, "mean price position of purchases, 0 cheapest to 1 dearest"),
    _user("price_sensitivity", "half-life 60 d", 1 / 3, "share of purchases in the cheapest third of their category"),
    _user("discount_share", "half-life 60 d", 0.0, "share of purchases paid at 95 % of the catalogue price or less"),
    _user("typical_price", "512 events", 0.0, "median unit price paid; 0 when unknown"),
    _user("price_p90", "512 events", 0.0, "unit price that 9 of 10 purchases stay under; 0 when unknown"),
)
USER_FEATURES = tuple(definition.name for definition in USER_DEFINITIONS)
_PLACE = {name: place for place, name in enumerate(USER_FEATURES)}
_DEFAULT_F = np.array([definition.default for definition in USER_DEFINITIONS], np.float32)


@dataclass(frozen=True)
class UserFeatures:
    """One shopper at one moment."""

    value_F: FloatArray
    """in the order of USER_FEATURES"""
    category_preference: Mapping[str, float]
    """share of decayed activity by top category name, largest first, MAX_PREFERENCES at most"""
    brand_preference: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        return float(self.value_F[_PLACE[name]])

    def as_dict(self) -> dict[str, float]:
        """Return the values by name, as UserState carries them."""
        return dict(zip(USER_FEATURES, self.value_F.tolist(), strict=True))

    @staticmethod
    def from_state(
        features: Mapping[str, float], category_preference: Mapping[str, float], brand_preference: Mapping[str, float]
    ) -> "UserFeatures":
        """Return what `as_dict` gave away; a missing feature has its default."""
        value_F = _DEFAULT_F.copy()
        for name, place in _PLACE.items():
            value_F[place] = features.get(name, value_F[place])
        return UserFeatures(value_F, category_preference, brand_preference)


NO_FEATURES = UserFeatures(_DEFAULT_F.copy(), {}, {})


def user_features(window: EventWindow, catalogue: Catalogue, as_of_ms: int) -> UserFeatures:
    """Return a shopper's features from the events strictly before `as_of_ms`."""
    if not len(window):
        return NO_FEATURES
    value_F = _DEFAULT_F.copy()
    decay_E = np.exp2((window.at_ms_E - as_of_ms) / (HALF_LIFE_DAYS * DAY_MS))
    _count(window, as_of_ms, value_F)
    bought_E = (window.type_E == PURCHASE_CODE) & (window.row_E >= 0)
    if bought_E.any():
        _describe_prices(window.where(bought_E), decay_E[bought_E], catalogue, value_F)
    taste_E = np.where(window.row_E >= 0, TASTE_WEIGHT[window.type_E], 0.0) * decay_E
    liked_E = taste_E > 0
    row_P, taste_P = window.row_E[liked_E], taste_E[liked_E]
    value_F[_PLACE["distinct_items"]] = len(set(row_P.tolist()))
    return UserFeatures(
        value_F,
        _shares(catalogue.top_category_N[row_P], taste_P, catalogue.categories),
        _shares(catalogue.brand_N[row_P], taste_P, catalogue.brands),
    )


def _count(window: EventWindow, as_of_ms: int, value_F: FloatArray) -> None:
    """Write the counts of a window that holds at least one event."""
    count_T = np.bincount(window.type_E, minlength=len(EVENT_TYPES))
    for name, event_type in (
        ("browse_count", EventType.VIEW),
        ("click_count", EventType.CLICK),
        ("cart_count", EventType.ADD_TO_CART),
        ("wishlist_count", EventType.WISHLIST),
        ("purchase_count", EventType.PURCHASE),
        ("rating_count", EventType.RATING),
    ):
        value_F[_PLACE[name]] = count_T[EVENT_TYPE_CODES[event_type]]
    bought_at_ms = window.at_ms_E[window.type_E == PURCHASE_CODE]
    value_F[_PLACE["purchases_30d"]] = np.count_nonzero(bought_at_ms >= as_of_ms - 30 * DAY_MS)
    value_F[_PLACE["days_since_last_event"]] = min((as_of_ms - int(window.at_ms_E[-1])) / DAY_MS, MAX_DAYS)
    if len(bought_at_ms):
        moments = 1 + np.count_nonzero(bought_at_ms[1:] != bought_at_ms[:-1])
        value_F[_PLACE["mean_basket_size"]] = len(bought_at_ms) / moments


def _describe_prices(bought: EventWindow, decay_P: FloatArray64, catalogue: Catalogue, value_F: FloatArray) -> None:
    """Write the price behaviour; the price of a purchase is the one paid, else the catalogue's."""
    listed_P = catalogue.price_N[bought.row_E]
    paid_P = np.where(np.isnan(bought.price_E), listed_P, bought.price_E)
    position_P = catalogue.price_position_N[bought.row_E]
    listed = ~np.isnan(listed_P)
    low = _shrunk(position_P[listed] < LOW_PRICE_POSITION, decay_P[listed], 1 / 3)
    value_F[_PLACE["price_level"]] = _shrunk(position_P, decay_P, 0.5)
    value_F[_PLACE["price_sensitivity"]] = low
    value_F[_PLACE["discount_share"]] = _shrunk((paid_P <= DISCOUNT * listed_P)[listed], decay_P[listed], 0.0)
    known = np.sort(paid_P[~np.isnan(paid_P)])
    if len(known):
        value_F[_PLACE["typical_price"]] = known[(len(known) - 1) // 2]
        value_F[_PLACE["price_p90"]] = known[int(0.9 * (len(known) - 1))]


def _shrunk(value_P: npt.NDArray[np.bool_] | FloatArray, weight_P: FloatArray64, prior: float) -> float:
    """Return the weighted mean pulled towards its prior by PRIOR_PURCHASES purchases."""
    return float((np.sum(value_P * weight_P) + prior * PRIOR_PURCHASES) / (np.sum(weight_P) + PRIOR_PURCHASES))


def _shares(code_P: IntArray, weight_P: FloatArray64, book: CodeBook) -> dict[str, float]:
    """Return each known name's share of the weight, largest first; bincount adds in the order of the events."""
    known = code_P > 0
    code_P, weight_P = code_P[known], weight_P[known]
    if not len(code_P):
        return {}
    sum_K = np.bincount(code_P, weight_P)
    code_U = np.flatnonzero(sum_K)
    share_U = (sum_K[code_U] / np.sum(weight_P)).astype(np.float32)
    if len(code_U) > MAX_PREFERENCES:
        large = share_U >= np.partition(share_U, -MAX_PREFERENCES)[-MAX_PREFERENCES]
        code_U, share_U = code_U[large], share_U[large]
    shares = zip(share_U.tolist(), (book.names[code] for code in code_U.tolist()), strict=True)
    ordered = sorted((-share, name) for share, name in shares)
    return {name: -negative for negative, name in ordered[:MAX_PREFERENCES]}
