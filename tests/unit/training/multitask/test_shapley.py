"""Shapley values of feature groups: they add up to the prediction, agree with the definition, name what counts."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from services.training.multitask.fit import FittedRanker, predict
from shared.models.multitask_calibration import logit
from shared.models.multitask_inputs import RankerRows
from shared.models.multitask_shapley import Groups, Typical, coalitions, explain, item_group, shapley, without
from tests.unit.training.multitask.small_shop import FIELDS, small_shop

EXAMPLES = 200


def one(rows: RankerRows, place: int) -> RankerRows:
    request = int(rows.request_of_N[place])
    some, place_M = rows.of_requests(np.array([request], np.int32))
    here = int(np.flatnonzero(place_M == place)[0])
    return replace(some.at(np.array([here], np.int32)), position_N=np.ones(1, np.int32))


def test_values_agree_with_the_mean_over_all_orders():
    rng = np.random.default_rng(1)
    there_SG, value_S = coalitions(4), rng.normal(size=16)
    value = {tuple(row): float(number) for row, number in zip(there_SG.tolist(), value_S, strict=True)}
    gains = np.zeros(4)
    for order in permutations(range(4)):
        there = [False] * 4
        for group in order:
            before = value[tuple(there)]
            there[group] = True
            gains[group] += value[tuple(there)] - before
    np.testing.assert_allclose(shapley(value_S[:, None], 4)[:, 0], gains / 24)


def test_parts_add_up_to_the_logit_of_the_prediction(fitted: FittedRanker):
    rows = small_shop(50, 8).examples.rows
    typical = Typical.of(rows)
    for place in range(0, 120, 3):
        found = explain(lambda some: predict(fitted.model, some), one(rows, place), typical, FIELDS)
        expected_T = logit(predict(fitted.model, one(rows, place)))[0]
        assert [part.logit for part in found] == pytest.approx(expected_T.tolist(), abs=1e-3)


def test_leaving_out_the_three_largest_parts_moves_the_score_more_than_any_three(fitted: FittedRanker):
    rng = np.random.default_rng(2)
    rows = small_shop(EXAMPLES, 9).examples.rows
    typical, groups = Typical.of(rows), Groups.of(FIELDS)
    moved: dict[str, list[float]] = {"largest": [], "random": []}
    for place in range(0, EXAMPLES * 6, 6):
        row = one(rows, place)
        found = explain(lambda some: predict(fitted.model, some), row, typical, FIELDS)[0]
        # Parts that pull in opposite directions undo each other: those count that speak for what was predicted.
        direction = np.sign(found.logit - found.base)
        largest = sorted(found.parts, key=lambda name: -found.parts[name] * direction)[:3]
        for kind, left_out in (("largest", largest), ("random", rng.choice(groups.names, 3, replace=False).tolist())):
            masked = logit(predict(fitted.model, without(row, typical, groups, left_out)))[0, 0]
            moved[kind].append(abs(found.logit - float(masked)))
    assert np.mean(moved["largest"]) > 1.3 * np.mean(moved["random"])


def test_the_columns_of_the_product_fall_into_groups_that_a_shop_understands():
    assert item_group("price_gap") == "price"
    assert item_group("hour_affinity") == "occasion"
    assert item_group("department=Books") == "product"
    assert item_group("sequence_log") == "likeness"
