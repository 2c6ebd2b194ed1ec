"""The rule for labels: which act counts for which exposure, and which steps can be trained."""

import numpy as np

from services.training.multitask.labels import FEWEST_OF_A_CLASS, Acts, Exposures, label, newest_exposure, trainable
from shared.contracts.events import EVENT_TYPE_CODES, EventType

HOUR = 3_600_000
WINDOW = 24 * HOUR


def exposures(*rows: tuple[int, int, int]) -> Exposures:
    user_N, item_N, hour_N = np.array(rows).T
    return Exposures(user_N, item_N, hour_N * HOUR)


def acts(*rows: tuple[int, int, int, EventType]) -> Acts:
    return Acts(
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] * HOUR for row in rows]),
        np.array([EVENT_TYPE_CODES[row[3]] for row in rows], np.int8),
    )


def test_an_act_counts_for_the_newest_exposure_of_the_same_shopper_and_item():
    shown = exposures((1, 7, 0), (1, 7, 5), (2, 7, 6), (1, 8, 6))
    found_E = newest_exposure(shown, acts((1, 7, 6, EventType.CLICK), (1, 7, 4, EventType.CLICK)), WINDOW)
    assert found_E.tolist() == [1, 0]


def test_an_act_at_the_moment_of_the_exposure_counts_and_one_before_does_not():
    shown = exposures((1, 7, 5))
    found_E = newest_exposure(shown, acts((1, 7, 5, EventType.CLICK), (1, 7, 4, EventType.CLICK)), WINDOW)
    assert found_E.tolist() == [0, -1]


def test_an_act_after_the_window_counts_for_nothing():
    shown = exposures((1, 7, 0))
    found_E = newest_exposure(shown, acts((1, 7, 24, EventType.PURCHASE), (1, 7, 25, EventType.PURCHASE)), WINDOW)
    assert found_E.tolist() == [0, -1]


def test_an_item_that_was_never_shown_counts_for_nothing():
    assert newest_exposure(exposures((1, 7, 0)), acts((1, 9, 1, EventType.CLICK)), WINDOW).tolist() == [-1]


def test_whoever_bought_also_clicked():
    many = [(user, 7, 0) for user in range(40)]
    bought = [(user, 7, 1, EventType.PURCHASE) for user in range(15)]
    found = label(exposures(*many), acts(*bought), ("click", "purchase"), WINDOW)
    assert found.tasks == ("click", "purchase")
    assert found.label_NT[:, 0].tolist() == found.label_NT[:, 1].tolist() == [True] * 15 + [False] * 25


def test_a_step_without_purchases_is_named_and_not_trained():
    clicked_N = np.arange(100) < 30
    found = trainable({"click": clicked_N, "purchase": np.zeros(100, np.bool_)})
    assert found.tasks == ("click",)
    assert found.missing == {"purchase": "only 0 of 100 exposures have it"}
    assert found.label_NT.shape == (100, 1)


def test_a_log_that_holds_buyers_only_is_named_and_not_trained():
    found = trainable({"purchase": np.arange(100) >= FEWEST_OF_A_CLASS - 1})
    assert found.tasks == ()
    assert "lack it" in found.missing["purchase"]
