"""Every candidate feature moves with what it is named after, and with nothing else."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.events import EventType
from shared.contracts.internal import Profile
from shared.features.candidates import (
    AFFINITY_FIELDS,
    CANDIDATE_FEATURES,
    CandidateFeatures,
    CandidateTables,
    no_tables,
)
from shared.features.catalogue import Catalogue, CatalogueItem
from tests.unit.features.example_shop import ITEMS, NOW_MS, Line, bought, events, feature_of, learnt_tables, query, shop


@pytest.fixture
def catalogue() -> Catalogue:
    return shop()


@pytest.fixture
def features(catalogue: Catalogue) -> CandidateFeatures:
    return CandidateFeatures(catalogue, learnt_tables())


def test_category_and_brand_preference_are_the_shoppers_shares(features: CandidateFeatures) -> None:
    asked = query(features.catalogue, bought("apple", "apple", "razor"))
    for name, item_id in (("category_preference", "bread"), ("brand_preference", "mango")):
        assert feature_of(features, name, item_id, asked) > feature_of(features, name, "foam", asked) > 0
    assert feature_of(features, "category_preference", "mystery", asked) == 0
    assert feature_of(features, "brand_preference", "bread", asked) == 0


def test_a_preference_for_a_category_the_catalogue_lost_reaches_no_item(features: CandidateFeatures) -> None:
    asked = query(features.catalogue)
    lost = type(asked.user)(asked.user.value_F, {"gone": 1.0}, {"gone": 1.0})
    asked = type(asked)(asked.window, lost, asked.context, None, NOW_MS)
    matrix = features.matrix(features.catalogue.rows([item.item_id for item in ITEMS]), asked)
    assert not matrix[:, :2].any()


def test_the_price_gap_is_small_where_the_shopper_buys(features: CandidateFeatures) -> None:
    asked = query(features.catalogue, bought(*["apple"] * 8))
    assert feature_of(features, "price_gap", "foam", asked) < feature_of(features, "price_gap", "razor", asked)


def test_cheapness_is_wanted_more_by_a_shopper_of_cheap_things(features: CandidateFeatures) -> None:
    cheap = query(features.catalogue, bought(*["apple"] * 8))
    dear = query(features.catalogue, bought(*["mango"] * 8))
    name = "cheapness_wanted"
    assert feature_of(features, name, "foam", cheap) > feature_of(features, name, "foam", dear)
    assert feature_of(features, name, "foam", cheap) > feature_of(features, name, "razor", cheap) == 0


def test_the_budget_of_the_request_punishes_what_costs_more_or_less(features: CandidateFeatures) -> None:
    asked = query(features.catalogue, budget_min=2.0, budget_max=5.0)
    over = {item.item_id: feature_of(features, "over_budget", item.item_id, asked) for item in ITEMS}
    assert over == pytest.approx({**dict.fromkeys(over, 0.0), "razor": np.log(2)})
    under = {item.item_id: feature_of(features, "under_budget", item.item_id, asked) for item in ITEMS}
    assert under == pytest.approx({**dict.fromkeys(under, 0.0), "apple": np.log(2)})


def test_without_a_budget_the_shoppers_own_prices_are_the_limit(features: CandidateFeatures) -> None:
    frugal = query(features.catalogue, bought(*["bread"] * 10))
    assert feature_of(features, "over_budget", "razor", frugal) == pytest.approx(np.log(5))
    generous = query(features.catalogue, bought(*["bread"] * 10), budget_max=100.0)
    assert feature_of(features, "over_budget", "razor", generous) == 0
    assert feature_of(features, "over_budget", "razor", query(features.catalogue)) == 0


def test_a_budget_of_nothing_is_finite(features: CandidateFeatures) -> None:
    assert feature_of(features, "over_budget", "razor", query(features.catalogue, budget_max=0.0)) > 5


def test_repeats_count_purchases_and_fade(features: CandidateFeatures) -> None:
    lines = [*bought("apple", days=30), *bought("apple", days=60), *bought("foam", days=90)]
    asked = query(features.catalogue, [*lines, ("bread", EventType.VIEW, 1.0)])
    assert feature_of(features, "repeat_count", "apple", asked) == pytest.approx(np.log(3))
    assert feature_of(features, "repeat_recency", "apple", asked) == pytest.approx(0.5)
    assert feature_of(features, "repeat_recency", "foam", asked) == pytest.approx(0.125)
    assert feature_of(features, "repeat_count", "bread", asked) == 0
    assert feature_of(features, "repeat_recency", "razor", asked) == 0


FOOD_VALUES = {"hour": 8, "weekday": 1}
CARE_VALUES = {"hour": 20, "weekday": 6}


@pytest.mark.parametrize("field", [field for field in AFFINITY_FIELDS if field not in ("age_band", "gender")])
def test_each_context_value_lifts_its_category(features: CandidateFeatures, field: str) -> None:
    food = query(features.catalogue, **{field: FOOD_VALUES.get(field, "x")})
    care = query(features.catalogue, **{field: CARE_VALUES.get(field, "y")})
    name = f"{field}_affinity"
    assert feature_of(features, name, "apple", food) > 0 > feature_of(features, name, "apple", care)
    assert feature_of(features, name, "razor", care) > 0 > feature_of(features, name, "razor", food)
    assert feature_of(features, name, "mystery", food) == 0


@pytest.mark.parametrize("field", ["age_band", "gender", "region"])
def test_each_profile_value_lifts_its_category(features: CandidateFeatures, field: str) -> None:
    name = f"{field}_affinity"
    food, care = (query(features.catalogue, profile=Profile(**{field: value})) for value in ("x", "y"))
    assert feature_of(features, name, "apple", food) > 0 > feature_of(features, name, "apple", care)
    assert feature_of(features, name, "apple", query(features.catalogue)) == 0


def test_household_attributes_are_summed_and_unknown_ones_ignored(features: CandidateFeatures) -> None:
    one = query(features.catalogue, profile=Profile(attributes={"kids": "x"}))
    two = query(features.catalogue, profile=Profile(attributes={"kids": "x", "income": "x", "hobby": "x"}))
    lift = feature_of(features, "household_affinity", "apple", one)
    assert lift > 0
    assert feature_of(features, "household_affinity", "apple", two) == pytest.approx(2 * lift)


def test_items_of_the_contexts_category_or_beside_its_item_are_marked(features: CandidateFeatures) -> None:
    name = "same_category_as_context"
    for context in ({"category": "shaving"}, {"category": "care"}, {"item_id": "foam"}):
        asked = query(features.catalogue, **context)
        assert (feature_of(features, name, "razor", asked), feature_of(features, name, "apple", asked)) == (1, 0)
    nowhere = query(features.catalogue, category="boats", item_id="gone")
    assert feature_of(features, name, "razor", nowhere) == 0


def test_item_features_stand_beside_the_others(features: CandidateFeatures) -> None:
    asked = query(features.catalogue)
    found = {
        name: feature_of(features, name, "apple", asked)
        for name in CANDIDATE_FEATURES[CANDIDATE_FEATURES.index("log_popularity") :]
    }
    expected = {
        "log_popularity": 2,
        "log_sales": 3,
        "rating": 4.5,
        "price_position": 0,
        "log_price": np.log(2),
        "newness": 0,
    }
    assert found == pytest.approx(expected)


def test_a_new_item_is_newer_than_an_old_one(features: CandidateFeatures) -> None:
    features.catalogue.upsert([CatalogueItem("fresh", created_at=datetime.fromtimestamp(NOW_MS / 1000 - 1, UTC))])
    features.catalogue.upsert([CatalogueItem("future", created_at=datetime.fromtimestamp(NOW_MS / 1000, UTC))])
    assert feature_of(features, "newness", "fresh", query(features.catalogue)) == pytest.approx(1)
    assert feature_of(features, "newness", "future", query(features.catalogue)) == 0


def test_each_department_has_a_column_and_the_unknown_ones_share_one(features: CandidateFeatures) -> None:
    features.catalogue.upsert([CatalogueItem("boat", categories=("boats",))])
    rows = features.catalogue.rows(["apple", "razor", "boat", "mystery"])
    one_hot = features.matrix(rows, query(features.catalogue))[:, len(CANDIDATE_FEATURES) :]
    assert features.names[len(CANDIDATE_FEATURES) :] == ("department=other", "department=food", "department=care")
    assert one_hot.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]]


def test_tables_survive_json_to_the_bit(features: CandidateFeatures) -> None:
    stored = json.loads(json.dumps(features.tables.to_json()))
    back = CandidateFeatures(features.catalogue, CandidateTables.from_json(stored, features.tables.activity.item_ids))
    asked = query(features.catalogue, bought("apple", "razor"), store="x", profile=Profile(gender="y"))
    rows = features.catalogue.rows([item.item_id for item in ITEMS])
    assert np.array_equal(back.matrix(rows, asked), features.matrix(rows, asked))


def test_no_candidates_and_no_tables_are_a_question_too(catalogue: Catalogue) -> None:
    bare = CandidateFeatures(catalogue, no_tables())
    assert bare.matrix(np.empty(0, np.int32), query(catalogue)).shape == (0, len(bare.names))
    assert np.isfinite(bare.matrix(catalogue.rows(["mystery"]), query(catalogue, bought("apple")))).all()


LINES = st.lists(
    st.tuples(
        st.sampled_from([item.item_id for item in ITEMS]),
        st.sampled_from(list(EventType)),
        st.integers(-5, 99).map(float),
    ),
    max_size=20,
)


@given(LINES)
def test_later_events_change_nothing(lines: list[Line]) -> None:
    known = shop()
    features = CandidateFeatures(known, learnt_tables())
    rows = known.rows([item.item_id for item in ITEMS])
    past = [line for line in lines if line[2] > 0]
    assert np.array_equal(features.matrix(rows, query(known, lines)), features.matrix(rows, query(known, past)))


@given(LINES, st.permutations(range(len(ITEMS))))
def test_the_order_of_the_catalogue_changes_no_bit(lines: list[Line], order: list[int]) -> None:
    item_ids = [item.item_id for item in ITEMS]
    matrices = []
    for known in (shop(), shop([ITEMS[place] for place in order])):
        asked = query(known, lines, store="x", category="care", budget_max=3.0)
        matrices.append(CandidateFeatures(known, learnt_tables()).matrix(known.rows(item_ids), asked))
    assert matrices[0].tobytes() == matrices[1].tobytes()


def test_a_window_of_another_shopper_gives_another_matrix(features: CandidateFeatures) -> None:
    rows = features.catalogue.rows([item.item_id for item in ITEMS])
    one, other = query(features.catalogue, bought("apple")), query(features.catalogue, bought("razor"))
    assert not np.array_equal(features.matrix(rows, one), features.matrix(rows, other))
    assert len(events(features.catalogue, bought("apple"))) == 1
