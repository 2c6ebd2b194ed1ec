"""Intervals by drawing users again."""

import numpy as np
import pytest

from benchmarks.quality.compare import drawn_means, interval, paired


def test_the_interval_has_the_width_of_the_normal_approximation() -> None:
    value_Q = np.random.default_rng(0).normal(0.3, 0.2, 4000)
    low, high = interval(drawn_means(value_Q[:, None])[:, 0])
    half = 1.96 * value_Q.std() / np.sqrt(len(value_Q))
    assert low == pytest.approx(value_Q.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(value_Q.mean() + half, abs=0.1 * half)


def test_a_small_but_steady_difference_is_certain_in_pairs() -> None:
    hard_Q = np.random.default_rng(0).random(500)
    found = paired(hard_Q + 0.01, hard_Q)
    assert found == {"difference": 0.01, "ci95": [0.01, 0.01], "share_above": 1.0}


def test_equal_rows_are_not_told_apart() -> None:
    noise_Q = np.random.default_rng(0).normal(0, 1, 500)
    found = paired(noise_Q, noise_Q[::-1])
    assert found["ci95"][0] < 0 < found["ci95"][1]
    assert found["difference"] == 0
