"""The affinity of a kind of shopper or moment to a category: smoothed, by name, zero for the unknown."""

import json

import numpy as np
import pytest

from shared.features.affinity import AffinityTables, FieldColumn, fit_affinity

VALUES = ["young"] * 100 + ["old"] * 100 + [None] * 50
CATEGORIES = ["games"] * 80 + ["tea"] * 20 + ["games"] * 20 + ["tea"] * 80 + ["games"] * 50


def tables() -> AffinityTables:
    return fit_affinity({"age_band": FieldColumn.of(VALUES)}, FieldColumn.of(CATEGORIES))


def lift(learnt: AffinityTables, value: str, category: str) -> float:
    lift_QK = learnt.lift_QK("age_band", [value])
    assert lift_QK is not None
    return float(lift_QK[0, learnt.categories.code(category)])


def test_what_a_kind_buys_more_often_than_all_has_a_positive_lift() -> None:
    assert lift(tables(), "young", "games") > 0 > lift(tables(), "young", "tea")
    assert lift(tables(), "old", "tea") > 0 > lift(tables(), "old", "games")


def test_the_base_rate_leaves_out_events_without_the_field() -> None:
    assert lift(tables(), "young", "games") == pytest.approx(-lift(tables(), "old", "games"), abs=0.25)


def test_unknown_values_fields_and_categories_say_nothing() -> None:
    assert tables().lift_QK("age_band", ["ageless"]) is None
    assert tables().lift_QK("shoe size", ["44"]) is None
    assert tables().lift_QK("age_band", [None]) is None
    assert lift(tables(), "young", "boats") == 0.0


def test_few_events_say_little() -> None:
    few = fit_affinity({"age_band": FieldColumn.of([*VALUES, "rare"])}, FieldColumn.of([*CATEGORIES, "tea"]))
    assert 0 < lift(few, "rare", "tea") < lift(few, "old", "tea")


def test_weights_count_as_many_events() -> None:
    twice = fit_affinity({"age_band": FieldColumn.of(VALUES)}, FieldColumn.of(CATEGORIES), np.full(len(VALUES), 2.0))
    assert lift(twice, "young", "games") > lift(tables(), "young", "games")


def test_a_category_never_seen_with_the_field_is_finite() -> None:
    learnt = fit_affinity({"age_band": FieldColumn.of(["young", None])}, FieldColumn.of(["games", "tea"]))
    assert lift(learnt, "young", "tea") == pytest.approx(0.0, abs=0.02)


def test_tables_survive_json_to_the_bit() -> None:
    back = AffinityTables.from_json(json.loads(json.dumps(tables().to_json())))
    assert back.categories == tables().categories
    assert np.array_equal(back.tables["age_band"].lift_VK, tables().tables["age_band"].lift_VK)


def test_names_that_do_not_fit_their_numbers_are_refused() -> None:
    stored = tables().to_json()
    stored["categories"] = ["games"]
    with pytest.raises(ValueError, match="age_band"):
        AffinityTables.from_json(stored)
