"""The simulated shop: repeatable, true to its own probabilities, of a fixed difficulty, and a log like any other."""

from dataclasses import fields, replace
from datetime import UTC, datetime

import numpy as np
import pytest

from services.training.examples.shop import open_shop
from services.training.simulation.config import SimulationConfig, SimulationConfigError
from services.training.simulation.difficulty import measure_difficulty
from services.training.simulation.lists import ListPolicy
from services.training.simulation.log import NO_REQUEST, SimulatedLog
from services.training.simulation.simulate import simulate
from services.training.simulation.world import make_world
from shared.contracts.events import EVENT_TYPE_CODES, EventType

SMALL = SimulationConfig(num_users=200, num_items=120, days=14, sessions_per_user=6)
PURCHASE, CLICK = EVENT_TYPE_CODES[EventType.PURCHASE], EVENT_TYPE_CODES[EventType.CLICK]


@pytest.fixture(scope="module")
def whole() -> SimulatedLog:
    """Return the log of the default configuration: the one that rankers are compared on."""
    return simulate(SimulationConfig())


@pytest.fixture(scope="module")
def small() -> SimulatedLog:
    """Return a log of a few thousand impressions."""
    return simulate(SMALL)


def test_difficulty_is_the_one_that_was_frozen(whole: SimulatedLog) -> None:
    click, purchase = measure_difficulty(whole)
    assert 0.70 <= click.oracle_auc <= 0.80
    assert click.regression_share <= 0.80
    assert purchase.regression_share <= 0.80
    assert 0.005 < purchase.positive_share < 0.03  # rare, but some fifteen thousand
    # What the configuration gave on the day it was frozen; a change of the truth must be meant.
    assert click.oracle_auc == pytest.approx(0.762, abs=0.002)
    assert purchase.oracle_auc == pytest.approx(0.878, abs=0.003)


def test_clicks_and_purchases_happen_as_often_as_their_chances_say(whole: SimulatedLog) -> None:
    shown, truth = whole.impressions, whole.truth
    _assert_calibrated(truth.p_click_N, shown.clicked_N)
    _assert_calibrated(truth.p_purchase_given_click_N[shown.clicked_N], shown.purchased_N[shown.clicked_N])


def test_a_place_further_down_is_seen_and_clicked_less(whole: SimulatedLog) -> None:
    shown = whole.impressions
    rate_K = [shown.clicked_N[shown.position_N == place].mean() for place in (1, 4, 10)]
    assert rate_K[0] > rate_K[1] > rate_K[2] > 0.3 * rate_K[0]


def test_what_was_shown_often_tires(whole: SimulatedLog) -> None:
    shown, truth = whole.impressions, whole.truth
    appeal_N = truth.p_click_N / truth.p_examined_N
    item, often = shown.item_N[0], []
    for times in (0, 2):
        often.append(appeal_N[(shown.item_N == item) & (shown.times_shown_N == times)].mean())
    assert often[1] < often[0]


def test_one_seed_gives_one_log_and_another_seed_another(small: SimulatedLog) -> None:
    again, other = simulate(SMALL), simulate(replace(SMALL, seed=8))
    for part in ("impressions", "truth", "events"):
        for field in fields(getattr(small, part)):
            same = np.array_equal(getattr(getattr(small, part), field.name), getattr(getattr(again, part), field.name))
            assert same, field.name
    assert not np.array_equal(small.impressions.item_N[:50], other.impressions.item_N[:50])


def test_every_click_and_purchase_is_an_event_after_its_impression(small: SimulatedLog) -> None:
    shown, events = small.impressions, small.events
    shown_at = {
        (request, item): (at_ms, clicked, bought)
        for request, item, at_ms, clicked, bought in zip(
            shown.request_N.tolist(),
            shown.item_N.tolist(),
            shown.shown_at_ms_N.tolist(),
            shown.clicked_N.tolist(),
            shown.purchased_N.tolist(),
            strict=True,
        )
    }
    assert len(shown_at) == len(shown)  # no item twice in a list
    of_lists = events.request_E != NO_REQUEST
    assert np.count_nonzero(events.type_E == CLICK) == np.count_nonzero(shown.clicked_N)
    assert np.count_nonzero(events.type_E == PURCHASE) == np.count_nonzero(shown.purchased_N)
    for event in np.flatnonzero(of_lists).tolist():
        at_ms, clicked, bought = shown_at[int(events.request_E[event]), int(events.item_E[event])]
        assert at_ms < events.at_ms_E[event]
        assert clicked
        assert bought or events.type_E[event] != PURCHASE


def test_a_second_list_is_shown_when_all_is_done_with_the_first(small: SimulatedLog) -> None:
    shown, events = small.impressions, small.events
    first_N = np.append(True, np.diff(shown.request_N) != 0)
    session_R, at_ms_R = shown.session_N[first_N], shown.shown_at_ms_N[first_N]
    last_R = dict(zip(session_R.tolist(), at_ms_R.tolist(), strict=True))
    followed = 0
    for event in np.flatnonzero(events.request_E != NO_REQUEST).tolist():
        second_ms = last_R[int(events.session_E[event])]
        if at_ms_R[events.request_E[event]] < second_ms:
            assert events.at_ms_E[event] < second_ms
            followed += 1
    assert followed > 20


def test_impressions_and_events_are_in_order_of_time(small: SimulatedLog) -> None:
    assert (np.diff(small.impressions.shown_at_ms_N) >= 0).all()
    assert (np.diff(small.events.at_ms_E) >= 0).all()
    assert (np.diff(small.impressions.request_N) >= 0).all()


def test_propensities_are_the_chances_with_which_items_are_drawn() -> None:
    world = make_world(SMALL)
    policy = ListPolicy(world.catalogue, world.shoppers, 3)
    user_Q, viewed_Q = np.zeros(60_000, np.int32), np.full(60_000, 4, np.int32)
    item_QK, propensity_QK = policy.draw(user_Q, viewed_Q, np.random.default_rng(1))
    first_V = np.bincount(item_QK[:, 0], minlength=120) / 60_000
    stated_V = np.zeros(120)
    stated_V[item_QK[:, 0]] = propensity_QK[:, 0]
    np.testing.assert_allclose(first_V, stated_V, atol=4 * np.sqrt(stated_V.max() / 60_000))
    after = item_QK[:, 0] == np.argmax(first_V)  # the second place, given what stands first
    second_V = np.bincount(item_QK[after, 1], minlength=120) / after.sum()
    stated_V = np.zeros(120)
    stated_V[item_QK[after, 1]] = propensity_QK[after, 1]
    np.testing.assert_allclose(second_V, stated_V, atol=4 * np.sqrt(stated_V.max() / after.sum()))
    assert stated_V.sum() == pytest.approx(1.0, abs=0.02)


def test_training_opens_the_log_like_any_shop(small: SimulatedLog) -> None:
    end = datetime(2026, 2, 1, tzinfo=UTC)
    shop = open_shop(small.shop_files(), now_ms=int(end.timestamp() * 1000))
    assert len(shop.log) == len(small.events)
    assert len(shop.catalogue) == SMALL.num_items
    assert len(shop.profiles) == SMALL.num_users
    assert shop.profiles["u:sim-u0"].gender in ("female", "male")


def test_the_last_day_can_be_chosen() -> None:
    config = SMALL.ending_at(datetime(2026, 11, 24, 15, 30, tzinfo=UTC))
    shown_at_ms_N = simulate(config).impressions.shown_at_ms_N
    end_ms = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000)
    assert end_ms - 2 * 86_400_000 < shown_at_ms_N.max() < end_ms + 600_000


@pytest.mark.parametrize(
    ("setting", "value"),
    [("num_users", 0), ("num_items", 10), ("days", 0), ("sessions_per_user", 0.0), ("list_length", 51)],
)
def test_a_shop_that_cannot_be_is_refused_by_name(setting: str, value: float) -> None:
    with pytest.raises(SimulationConfigError, match=setting):
        SimulationConfig(**{setting: value})


def _assert_calibrated(p_N: np.ndarray, happened_N: np.ndarray) -> None:
    order = np.argsort(p_N)
    for part in np.array_split(order, 10):
        spread = np.sqrt((p_N[part] * (1 - p_N[part])).sum()) / len(part)
        assert abs(p_N[part].mean() - happened_N[part].mean()) < 4.5 * spread
