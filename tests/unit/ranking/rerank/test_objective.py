"""The value of a candidate: the shop's weights over chances and price, or the fused score and a word about it."""

import numpy as np
import pytest
from pydantic import ValidationError

from services.ranking.rerank.objective import NO_CHANCES, NOT_FINITE, Chances, worth
from shared.contracts.recommendation import Objective
from shared.features.events import FloatArray

NAN = float("nan")


def floats(*values: float) -> FloatArray:
    return np.array(values, np.float32)


SCORES, PRICES = floats(1, 2, 3), floats(10, 30, NAN)
CHANCES = Chances(click_C=floats(0.5, 0.2, 0.1), purchase_C=floats(0.1, 0.1, 0.1))


def test_without_weights_the_fused_score_is_the_value_untouched() -> None:
    found = worth(SCORES, CHANCES, PRICES, None)
    assert found.value_C is SCORES
    assert found.notices == ()


def test_weights_are_the_mean_of_what_showing_the_item_brings() -> None:
    found = worth(SCORES, CHANCES, PRICES, Objective(click=1, purchase=2, revenue=4))
    # The median price is 20; an item without a price brings no revenue.
    expected = [0.5 + 0.1 * (2 + 4 * 0.5), 0.2 + 0.1 * (2 + 4 * 1.5), 0.1 + 0.1 * 2]
    assert found.value_C.tolist() == pytest.approx(expected, rel=1e-6)
    assert found.notices == ()


def test_revenue_orders_by_price_where_chances_are_equal() -> None:
    value_C = worth(SCORES, CHANCES, PRICES, Objective(revenue=1)).value_C
    assert value_C.argsort()[::-1].tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    ("chances", "wanted"),
    [
        (None, Objective(click=1)),
        (Chances(click_C=floats(0.5, 0.2, 0.1), purchase_C=None), Objective(click=1, purchase=1)),
        (Chances(click_C=floats(0.5, 0.2, 0.1), purchase_C=None), Objective(revenue=1)),
    ],
)
def test_chances_that_the_model_does_not_know_are_not_made_up(chances: Chances | None, wanted: Objective) -> None:
    found = worth(SCORES, chances, PRICES, wanted)
    assert found.value_C.tolist() == SCORES.tolist()
    assert found.notices == (NO_CHANCES,)


def test_clicks_alone_need_no_purchases() -> None:
    found = worth(SCORES, Chances(floats(0.5, 0.2, 0.1), None), PRICES, Objective(click=2))
    assert found.value_C.tolist() == pytest.approx([1.0, 0.4, 0.2])


def test_score_that_is_no_number_comes_last_and_is_said() -> None:
    found = worth(floats(NAN, 2, -1), None, PRICES, None)
    assert found.value_C.tolist() == [-1, 2, -1]
    assert found.notices == (NOT_FINITE,)
    assert worth(floats(NAN, NAN), None, PRICES, None).value_C.tolist() == [0, 0]


@pytest.mark.parametrize(
    "weights",
    [{}, {"click": 0, "purchase": 0}, {"click": -1}, {"revenue": NAN}, {"purchase": float("inf")}, {"click": 1e9}],
)
def test_weights_that_say_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Objective(**weights)
