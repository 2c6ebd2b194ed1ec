"""Every user feature, its default, and the rules of time and order that training and serving share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.events import EventType
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.events import EMPTY_WINDOW, EventWindow, events_before
from shared.features.user import (
    DAY_MS,
    MAX_PREFERENCES,
    USER_DEFINITIONS,
    USER_FEATURES,
    UserFeatures,
    user_features,
)
from tests.unit.features.example_shop import ITEMS, NOW_MS, Line, bought, events, shop

LINES = st.lists(
    st.tuples(
        st.sampled_from([item.item_id for item in ITEMS] + ["gone"]),
        st.sampled_from(list(EventType)),
        st.integers(-5, 400).map(float),
    ),
    max_size=30,
)


def features_of(lines: list[Line], catalogue: Catalogue | None = None) -> UserFeatures:
    known = catalogue or shop()
    return user_features(events_before(events(known, lines), NOW_MS), known, NOW_MS)


def test_a_stranger_has_every_default_and_no_preference() -> None:
    stranger = user_features(EMPTY_WINDOW, shop(), NOW_MS)
    assert stranger.as_dict() == pytest.approx({one.name: one.default for one in USER_DEFINITIONS})
    assert (stranger.category_preference, stranger.brand_preference) == ({}, {})


@pytest.mark.parametrize(
    ("name", "event_type"),
    [
        ("browse_count", EventType.VIEW),
        ("click_count", EventType.CLICK),
        ("cart_count", EventType.ADD_TO_CART),
        ("wishlist_count", EventType.WISHLIST),
        ("purchase_count", EventType.PURCHASE),
        ("rating_count", EventType.RATING),
    ],
)
def test_each_count_counts_its_own_type_only(name: str, event_type: EventType) -> None:
    features = features_of([("apple", event_type, 1.0), ("bread", event_type, 2.0), ("foam", EventType.SEARCH, 3.0)])
    counts = {other: features[other] for other in USER_FEATURES if other.endswith("_count")}
    assert counts == {other: 2.0 if other == name else 0.0 for other in counts}


def test_purchases_of_the_last_30_days_leave_out_older_ones() -> None:
    assert features_of([*bought("apple", days=29), *bought("bread", days=31)])["purchases_30d"] == 1.0


def test_distinct_items_counts_a_product_once() -> None:
    assert features_of([*bought("apple", "apple", "bread"), ("foam", EventType.HIDE, 1.0)])["distinct_items"] == 2.0


def test_days_since_the_last_event_stop_at_a_year() -> None:
    assert features_of(bought("apple", days=2.5))["days_since_last_event"] == 2.5
    assert features_of(bought("apple", days=700))["days_since_last_event"] == 365.0


def test_lines_of_one_moment_are_one_basket() -> None:
    basket = [("apple", EventType.PURCHASE, 2.0), ("bread", EventType.PURCHASE, 2.0), ("foam", EventType.PURCHASE, 2.0)]
    assert features_of([*basket, *bought("razor", days=1)])["mean_basket_size"] == 2.0


def test_buying_the_cheapest_lowers_the_price_level_and_raises_the_sensitivity() -> None:
    cheap, dear = features_of(bought("apple", "apple", "apple")), features_of(bought("mango", "mango", "mango"))
    assert cheap["price_level"] < 0.5 < dear["price_level"]
    assert dear["price_sensitivity"] < 1 / 3 < cheap["price_sensitivity"]


def test_one_purchase_moves_the_price_level_less_than_ten() -> None:
    once, often = features_of(bought("mango")), features_of(bought(*["mango"] * 10))
    assert 0.5 < once["price_level"] < often["price_level"] < 1.0


def test_a_price_paid_below_the_catalogue_price_is_a_discount() -> None:
    catalogue = shop()
    paid_less = user_features(events(catalogue, bought("bread"), {"bread": 1.5}), catalogue, NOW_MS)
    paid_full = user_features(events(catalogue, bought("bread"), {"bread": 2.0}), catalogue, NOW_MS)
    assert paid_less["discount_share"] > paid_full["discount_share"] == 0.0


def test_typical_price_is_the_median_paid_and_p90_a_price_rarely_passed() -> None:
    features = features_of(bought(*["apple"] * 8, "foam", "razor"))
    assert (features["typical_price"], features["price_p90"]) == (1.0, 5.0)


def test_a_shopper_of_unpriced_items_has_no_typical_price() -> None:
    features = features_of(bought("mystery"))
    assert (features["typical_price"], features["price_p90"], features["price_level"]) == (0.0, 0.0, 0.5)


def test_preferences_are_shares_by_name_largest_first() -> None:
    features = features_of(bought("razor", "foam", "apple"))
    assert list(features.category_preference) == ["care", "food"]
    assert list(features.brand_preference) == ["edge", "farm"]
    assert sum(features.category_preference.values()) == pytest.approx(1.0)


def test_a_purchase_says_more_than_a_view_and_an_old_one_less_than_a_new_one() -> None:
    view_and_purchase = features_of([("apple", EventType.VIEW, 1.0), ("razor", EventType.PURCHASE, 1.0)])
    assert view_and_purchase.category_preference["care"] == pytest.approx(5 / 6)
    old_and_new = features_of([*bought("apple", days=60), *bought("razor", days=0.001)])
    assert old_and_new.category_preference["care"] == pytest.approx(2 / 3, abs=1e-4)


def test_a_shopper_of_very_many_brands_keeps_the_largest_shares() -> None:
    catalogue = Catalogue(CatalogueItem(f"i{n}", categories=("all",), brand=f"b{n:03}") for n in range(200))
    lines = [*bought(*[f"i{n}" for n in range(200)]), *bought("i7")]
    preference = features_of(lines, catalogue).brand_preference
    assert len(preference) == MAX_PREFERENCES
    assert next(iter(preference)) == "b007"


def test_features_survive_the_way_over_the_wire() -> None:
    features = features_of(bought("razor", "foam", "apple"))
    back = UserFeatures.from_state(features.as_dict(), features.category_preference, features.brand_preference)
    assert np.array_equal(back.value_F, features.value_F)
    assert UserFeatures.from_state({}, {}, {})["price_level"] == 0.5


@given(LINES)
def test_later_events_change_nothing(lines: list[Line]) -> None:
    past = [line for line in lines if line[2] > 0]
    assert_same(features_of(lines), features_of(past))


@given(LINES, st.permutations(range(len(ITEMS))))
def test_the_order_of_the_catalogue_changes_no_bit(lines: list[Line], order: list[int]) -> None:
    shuffled = Catalogue([CatalogueItem("z", categories=("care",), brand="z"), *(ITEMS[place] for place in order)])
    shuffled.upsert([CatalogueItem("z")])
    assert_same(features_of(lines, shuffled), features_of(lines))


@given(LINES)
def test_every_value_is_finite_and_no_preference_negative(lines: list[Line]) -> None:
    features = features_of(lines)
    assert np.isfinite(features.value_F).all()
    assert all(share > 0 for share in features.category_preference.values())


def test_a_full_window_of_ties_has_features() -> None:
    catalogue, count = shop(), 512
    window = EventWindow(
        np.zeros(count, np.int32),
        np.full(count, 6, np.int8),
        np.full(count, NOW_MS - DAY_MS),
        np.ones(count, np.float32),
        np.ones(count, np.float32),
    )
    assert user_features(window, catalogue, NOW_MS)["mean_basket_size"] == 512.0


def assert_same(one: UserFeatures, other: UserFeatures) -> None:
    assert one.value_F.tobytes() == other.value_F.tobytes()
    assert list(one.category_preference.items()) == list(other.category_preference.items())
    assert list(one.brand_preference.items()) == list(other.brand_preference.items())
