"""Point-in-time counts: only what was strictly before, by key."""

import numpy as np
import pytest

from benchmarks.ctr.past import DAY_MS, Past, lift


def test_a_sum_counts_what_was_strictly_before_and_of_the_same_key():
    past = Past(np.array([1, 1, 2, 1]), np.array([10, 20, 15, 30]))
    assert past.sum(np.array([1, 1, 2, 9]), np.array([20, 31, 99, 99])).tolist() == [1, 3, 1, 0]


def test_a_window_leaves_out_what_is_older():
    past = Past(np.array([1, 1, 1]), np.array([10, 20, 30]))
    assert past.sum(np.array([1, 1]), np.array([31, 31]), 11).tolist() == [2, 2]
    assert past.sum(np.array([1]), np.array([31]), 5).tolist() == [1]


def test_a_decayed_sum_halves_with_every_half_life():
    past = Past(np.array([1, 1]), np.array([0, DAY_MS]))
    assert past.decayed(np.array([1]), np.array([2 * DAY_MS]), 1.0) == pytest.approx([0.75])


def test_a_decayed_sum_is_right_hundreds_of_half_lives_before_the_end_of_the_log():
    rng = np.random.default_rng(5)
    key_E, at_E, weight_E = rng.integers(0, 5, 300), rng.integers(0, 300 * DAY_MS, 300), rng.random(300)
    key_N, at_N = rng.integers(0, 7, 60), rng.integers(0, 300 * DAY_MS, 60)
    expected = [
        (weight_E * 0.5 ** ((at - at_E) / DAY_MS))[(key_E == key) & (at_E < at)].sum()
        for key, at in zip(key_N, at_N, strict=True)
    ]
    np.testing.assert_allclose(Past(key_E, at_E, weight_E).decayed(key_N, at_N, 1.0), expected)
    assert Past(key_E[:0], at_E[:0]).decayed(key_N, at_N, 1.0).tolist() == [0.0] * 60


def test_the_newest_events_come_newest_first_and_end_in_minus_one():
    past = Past(np.array([1, 2, 1]), np.array([10, 11, 12]))
    assert past.newest(np.array([1, 2]), np.array([13, 11]), 3).tolist() == [[2, 0, -1], [-1, -1, -1]]


def test_counts_agree_with_a_plain_loop():
    rng = np.random.default_rng(3)
    key_E, at_E, weight_E = rng.integers(0, 5, 200), rng.integers(0, 100, 200), rng.random(200)
    key_N, at_N = rng.integers(0, 7, 50), rng.integers(0, 120, 50)
    past = Past(key_E, at_E, weight_E)
    expected = [
        weight_E[(key_E == key) & (at_E < at) & (at_E >= at - 30)].sum() for key, at in zip(key_N, at_N, strict=True)
    ]
    np.testing.assert_allclose(past.sum(key_N, at_N, 30), expected)


def test_a_lift_is_none_where_nothing_was_expected():
    assert lift(np.array([0.0]), np.array([0.0])).tolist() == [0.0]
