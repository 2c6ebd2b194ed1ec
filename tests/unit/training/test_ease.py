"""EASE against the regression it solves."""

import numpy as np
import pytest
import scipy.sparse as sp

from services.training.collaborative.ease import EaseConfig, fit_ease, solve_ease


def tastes(users: int, items: int, seed: int = 0) -> sp.csr_array:
    random = np.random.default_rng(seed)
    return sp.random_array((users, items), density=0.3, rng=random, dtype=np.float32).tocsr()


def test_each_column_is_the_ridge_regression_on_all_other_items() -> None:
    taste_UV = tastes(40, 9)
    weight_VV = solve_ease(taste_UV, l2=2.0)
    dense_UV = taste_UV.toarray().astype(np.float64)
    for item in range(9):
        others = np.delete(dense_UV, item, axis=1)
        expected = np.linalg.solve(others.T @ others + 2 * np.eye(8), others.T @ dense_UV[:, item])
        assert np.allclose(np.delete(weight_VV[:, item], item), expected, atol=1e-4)
    assert (np.diagonal(weight_VV) == 0).all()


def test_the_table_keeps_the_heaviest_positive_weights() -> None:
    taste_UV = tastes(60, 400)
    table, weight_VV = fit_ease(taste_UV, EaseConfig(l2=2.0, neighbours=3)), solve_ease(taste_UV, 2.0)
    assert np.allclose(table.weight_VK, -np.sort(-np.maximum(weight_VV, 0), axis=1)[:, :3])
    row_E, place_E = np.nonzero(table.neighbour_VK >= 0)
    assert np.allclose(weight_VV[row_E, table.neighbour_VK[row_E, place_E]], table.weight_VK[row_E, place_E])


def test_in_a_large_catalogue_only_the_items_with_most_weight_take_part() -> None:
    taste_UV = tastes(60, 30)
    table = fit_ease(taste_UV, EaseConfig(l2=2.0, neighbours=29, max_items=12))
    weight_V = taste_UV.sum(axis=0)
    chosen = set(np.argsort(-weight_V)[:12].tolist())
    assert set(np.unique(table.neighbour_VK).tolist()) - {-1} <= chosen
    assert set(np.flatnonzero((table.neighbour_VK >= 0).any(axis=1)).tolist()) == chosen


def test_a_ridge_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive l2"):
        solve_ease(tastes(5, 4), l2=0)
