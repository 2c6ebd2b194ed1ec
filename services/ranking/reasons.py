"""Why an item is in the list: the largest positive parts of its fused score, in a shopper's words.

Called by   services/ranking/rank.py, for the items of the final list only, when the request asks for reasons
In          the scored query and its final candidates, in the order of the list
Out         at most MAX_REASONS for each item, the largest part first; never none
Honest      a part becomes a reason only with its evidence at hand: "bought together with X" needs an X in the history
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.recommendation import Reason
from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.models.columns import source_names
from shared.models.recommender import Candidates, Recommender, Scored
from shared.models.sources.history import HISTORY_SOURCES, TRANSITION_SOURCES

MAX_REASONS = 2
MAX_TITLE = 80
LEAST_SHARE = 0.1
"""a part this much smaller than the largest one is no reason"""
NEW_ENOUGH = 0.25
"""value of the newness feature until which an item is called new: 60 days"""
FAVOURITE_SHARE = 0.05
"""share of a shopper's recent activity from which a category or brand is called theirs"""
NEWEST_ITEMS = 20
"""history items among which the one nearest to a candidate is looked for"""

# What a part of the score is made of: fusion columns, by the reason they speak for.
PARTS: dict[str, tuple[str, ...]] = {
    **{name: source_names((name,)) for name in HISTORY_SOURCES if name != "repeat"},
    "repeat": (*source_names(("repeat",)), "repeat_count", "repeat_recency"),
    "content": ("content",),
    "popularity": ("log_popularity", "log_sales"),
    "newness": ("newness",),
    "category": ("category_preference",),
    "brand": ("brand_preference",),
    "page": ("same_category_as_context",),
    "moment": ("hour_affinity", "weekday_affinity", "season_affinity"),
    "place": ("store_affinity", "region_affinity"),
    "profile": ("age_band_affinity", "gender_affinity", "household_affinity"),
}
PART_NAMES = tuple(PARTS)

# The strongest thing a shopper did with an item explains best; first match wins.
BECAUSE = (
    (EventType.PURCHASE, "because_you_bought", "Because you bought {}"),
    (EventType.ADD_TO_CART, "goes_with_cart", "Goes with {} in your cart"),
    (EventType.WISHLIST, "because_you_wished", "Because {} is on your wishlist"),
    (EventType.CLICK, "because_you_viewed", "Because you looked at {}"),
    (EventType.VIEW, "because_you_viewed", "Because you looked at {}"),
)


def reasons_for(recommender: Recommender, scored: Scored, listed: Candidates) -> list[list[Reason]]:
    """Return the reasons of each listed item; `listed` is in the order of the list."""
    if not len(listed.row_C):
        return []
    evidence = _Evidence(recommender, scored, listed)
    return [evidence.reasons(place) for place in range(len(listed.row_C))]


def part_columns(fusion_names: Sequence[str]) -> FloatArray:
    """Return [F, P]: 1 where a fusion column belongs to a part."""
    belongs_FP = np.zeros((len(fusion_names), len(PARTS)), np.float32)
    place_of = {name: place for place, name in enumerate(fusion_names)}
    for part, names in enumerate(PARTS.values()):
        belongs_FP[[place_of[name] for name in names], part] = 1
    return belongs_FP


class _Evidence:
    """What can be said of the listed items; each look-up is made once, and only when a reason needs it."""

    def __init__(self, recommender: Recommender, scored: Scored, listed: Candidates) -> None:
        self._recommender, self._scored, self._listed = recommender, scored, listed
        self._catalogue: Catalogue = recommender.catalogue
        self._window = scored.query.window
        self._voters: dict[str, IntArray] = {}
        contributions_CF = recommender.fusion_for(scored).contributions(listed.matrix_CF)
        self._part_CP = contributions_CF @ part_columns(recommender.fusion_names)
        self._tellers: dict[str, Callable[[int], Reason | None]] = {
            "sequence": lambda place: self._because(self._nearest_by_encoder[place]),
            "svd": lambda place: self._because(self._nearest_by_svd[place]),
            **{name: self._because_of_votes(name) for name in ("item_cf", *TRANSITION_SOURCES)},
            "co_visitation": self._bought_together,
            "user_cf": self._similar_shoppers,
            "repeat": self._again,
            "content": self._similar_taste,
            "popularity": self._popular,
            "newness": self._new,
            "category": self._favourite_category,
            "brand": self._favourite_brand,
            "page": lambda place: self._in_category("same_category", "More from {}", place),
            "moment": lambda _: Reason(code="timely", text="Often bought at this time"),
            "place": lambda _: Reason(code="popular_nearby", text="Popular in your area"),
            "profile": lambda _: Reason(code="shoppers_like_you", text="Popular with shoppers like you"),
        }

    def reasons(self, place: int) -> list[Reason]:
        """Return the reasons of one listed item."""
        told: dict[str, Reason] = {}
        part_P = self._part_CP[place]
        for part in np.argsort(-part_P, kind="stable"):
            if part_P[part] <= LEAST_SHARE * max(part_P.max(), 0.0) or len(told) == MAX_REASONS:
                break
            reason = self._tellers[PART_NAMES[part]](place)
            if reason is not None:
                told.setdefault(reason.code, reason)
        return list(told.values()) or [self._last_resort(place)]

    def _last_resort(self, place: int) -> Reason:
        return (
            self._popular(place)
            or self._in_category("in_category", "From {}", place)
            or Reason(code="in_catalogue", text="From our range")
        )

    def _because(self, row: int) -> Reason | None:
        """Say what the shopper did with the history item at a catalogue row; None for row -1."""
        done = self._window.type_E[self._window.row_E == row] if row >= 0 else ()
        for event_type, code, text in BECAUSE:
            if EVENT_TYPE_CODES[event_type] in done:
                return self._about(row, code, text)
        return None

    def _because_of_votes(self, source: str) -> Callable[[int], Reason | None]:
        """Say what the shopper did with the history item that voted most in a source."""
        return lambda place: self._because(int(self._voted_by(source)[place]))

    def _bought_together(self, place: int) -> Reason | None:
        row = int(self._voted_by("co_visitation")[place])
        return self._about(row, "bought_together", "Often bought together with {}") if row >= 0 else None

    def _similar_shoppers(self, place: int) -> Reason | None:
        if self._column("user_cf")[place] <= 0:
            return None
        return Reason(code="similar_shoppers", text="Shoppers with a similar basket buy this")

    def _again(self, place: int) -> Reason | None:
        purchases = round(float(np.expm1(self._column("repeat_count")[place])))
        if purchases >= 2:
            return Reason(code="buy_again", text="You buy this regularly")
        if purchases == 1:
            return Reason(code="buy_again", text="You bought this before")
        return Reason(code="seen_lately", text="You looked at this") if self._column("repeat")[place] > 0 else None

    def _similar_taste(self, place: int) -> Reason | None:
        if self._column("content")[place] <= 0:
            return None
        return Reason(code="similar_taste", text="Similar to what you like")

    def _popular(self, place: int) -> Reason | None:
        if self._column("log_popularity")[place] <= 0:
            return None
        return Reason(code="popular", text="Popular right now")

    def _new(self, place: int) -> Reason | None:
        if self._column("newness")[place] < NEW_ENOUGH:
            return None
        return self._in_category("new", "New in {}", place) or Reason(code="new", text="New in our range")

    def _favourite_category(self, place: int) -> Reason | None:
        name = self._catalogue.categories.names[self._catalogue.top_category_N[self._listed.row_C[place]]]
        share = self._scored.query.user.category_preference.get(name, 0.0)
        if share < FAVOURITE_SHARE:
            return None
        return Reason(code="favourite_category", text=f"From {name}, a favourite of yours")

    def _favourite_brand(self, place: int) -> Reason | None:
        name = self._catalogue.brands.names[self._catalogue.brand_N[self._listed.row_C[place]]]
        share = self._scored.query.user.brand_preference.get(name, 0.0)
        return (
            None if share < FAVOURITE_SHARE else Reason(code="favourite_brand", text=f"From {name}, a brand you like")
        )

    def _in_category(self, code: str, text: str, place: int) -> Reason | None:
        name = self._catalogue.categories.names[self._catalogue.leaf_category_N[self._listed.row_C[place]]]
        return Reason(code=code, text=text.format(name[:MAX_TITLE])) if name else None

    def _about(self, row: int, code: str, text: str) -> Reason:
        public_id = self._catalogue.public_id(row)
        title = self._catalogue.items[row].title or f"item {public_id}"
        return Reason(code=code, text=text.format(title[:MAX_TITLE]), because_item_id=public_id)

    def _column(self, name: str) -> FloatArray:
        column_C: FloatArray = self._listed.matrix_CF[:, self._recommender.fusion_names.index(name)]
        return column_C

    def _voted_by(self, source: str) -> IntArray:
        """Return for each listed item the row of the history item that voted most for it, else -1."""
        if source not in self._voters:
            self._voters[source] = self._recommender.because(self._scored, source, self._listed.row_C)
        return self._voters[source]

    @cached_property
    def _nearest_by_encoder(self) -> IntArray:
        return self._nearest(self._recommender.contents.item_VD)

    @cached_property
    def _nearest_by_svd(self) -> IntArray:
        return self._nearest(self._recommender.contents.svd.factor_VF)

    def _nearest(self, vector_VX: FloatArray) -> IntArray:
        """Return for each listed item the row of the most similar of the newest history items, not itself; else -1."""
        rows = self._recommender.rows
        code_C = rows.code_of_row_N[self._listed.row_C]
        code_H = np.unique(self._scored.history.code_L[-NEWEST_ITEMS:])
        if not len(code_H):
            return np.full(len(code_C), -1, np.int32)
        cosine_CH = _unit(vector_VX[np.maximum(code_C, 0)]) @ _unit(vector_VX[code_H]).T
        cosine_CH[(code_C[:, None] == code_H) | (code_C[:, None] < 0)] = -1
        best_C = cosine_CH.argmax(axis=1)
        near_C = cosine_CH[np.arange(len(code_C)), best_C] > 0
        return np.where(near_C, rows.row_of_code_V[code_H[best_C]], -1).astype(np.int32)


def _unit(vector_XD: FloatArray) -> FloatArray:
    length_X = np.linalg.norm(vector_XD, axis=1, keepdims=True)
    unit_XD: FloatArray = vector_XD / np.maximum(length_X, 1e-9)
    return unit_XD
