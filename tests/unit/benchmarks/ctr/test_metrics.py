"""The measures of chances, against values worked out by hand or another library."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.ctr.metrics import calibration_error, deciles, grouped_auc, measures


def test_grouped_auc_weighs_groups_by_their_size_and_leaves_out_those_of_one_class():
    label_N = np.array([1, 0, 0, 1, 1, 1, 0], np.bool_)
    p_N = np.array([0.9, 0.1, 0.5, 0.2, 0.3, 0.4, 0.6])
    group_N = np.array([1, 1, 1, 2, 2, 3, 3])
    assert grouped_auc(label_N, p_N, group_N) == pytest.approx((3 * 1.0 + 2 * 0.0) / 5)


def test_grouped_auc_of_one_group_is_the_auc():
    rng = np.random.default_rng(1)
    label_N, p_N = rng.random(300) < 0.3, np.round(rng.random(300), 1)
    found = grouped_auc(label_N, p_N, np.zeros(300, np.int64))
    assert found == pytest.approx(roc_auc_score(label_N, p_N))


def test_without_a_group_of_both_classes_there_is_no_grouped_auc():
    assert grouped_auc(np.array([True, False]), np.array([0.5, 0.5]), np.array([1, 2])) is None


def test_the_mean_rate_alone_has_a_normalised_entropy_of_one():
    label_N = np.arange(1000) < 200
    found = measures(label_N, np.full(1000, 0.2), np.arange(1000) % 10)
    assert found["ne"] == pytest.approx(1.0)
    assert found["auc"] == 0.5


def test_the_calibration_error_is_the_mean_distance_over_bins_of_equal_size():
    label_N = np.array([0, 1, 1, 1], np.bool_)
    p_N = np.array([0.1, 0.2, 0.8, 0.9])
    assert calibration_error(label_N, p_N, 2) == pytest.approx((2 * (0.5 - 0.15) + 2 * (1.0 - 0.85)) / 4)


def test_deciles_rise_with_the_prediction():
    p_N = np.linspace(0, 1, 100)
    found = deciles(p_N > 0.5, p_N)
    assert [part["observed"] for part in found] == [0.0] * 5 + [1.0] * 5
