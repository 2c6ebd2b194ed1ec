"""EASE and sequential EASE against the regressions they solve."""

import numpy as np
import pytest
import scipy.sparse as sp

from services.training.collaborative.ease import EaseConfig, fit_ease, mean_row, solve_ease
from services.training.collaborative.sequential_ease import SequentialEaseConfig, fit_sequential_ease
from services.training.examples.sequences import build_sequences
from shared.models.tables import ItemNeighbours
from tests.unit.training.small_logs import every_row, log_of, random_log


def tastes(users: int, items: int, seed: int = 0) -> sp.csr_array:
    random = np.random.default_rng(seed)
    return sp.random_array((users, items), density=0.3, rng=random, dtype=np.float32).tocsr()


def dense(table: ItemNeighbours, items: int) -> np.ndarray:  # type: ignore[type-arg]
    """Return the table as a full matrix."""
    weight_VV = np.zeros((items, items))
    row_E, place_E = np.nonzero(table.neighbour_VK >= 0)
    weight_VV[row_E, table.neighbour_VK[row_E, place_E]] = table.weight_VK[row_E, place_E]
    return weight_VV


def test_each_column_is_the_ridge_regression_on_all_other_items() -> None:
    taste_UV = tastes(40, 9)
    weight_VV = solve_ease(taste_UV, l2=2.0)
    dense_UV = taste_UV.toarray().astype(np.float64)
    for item in range(9):
        others = np.delete(dense_UV, item, axis=1)
        expected = np.linalg.solve(others.T @ others + 2 * np.eye(8), others.T @ dense_UV[:, item])
        assert np.allclose(np.delete(weight_VV[:, item], item), expected, atol=1e-4)
    assert (np.diagonal(weight_VV) == 0).all()


def test_the_penalty_is_a_share_of_what_an_item_has_in_common_with_all() -> None:
    taste_UV = tastes(40, 9)
    gram_VV = (taste_UV.T @ taste_UV).toarray()
    assert mean_row(taste_UV) == pytest.approx(gram_VV.sum(axis=1).mean(), rel=1e-5)
    table = fit_ease(taste_UV, EaseConfig(penalty=0.5, neighbours=9))
    assert np.allclose(dense(table, 9), solve_ease(taste_UV, 0.5 * gram_VV.sum(axis=1).mean()), atol=1e-5)


def test_the_table_keeps_the_weights_farthest_from_0_with_their_signs() -> None:
    taste_UV = tastes(60, 400)
    table = fit_ease(taste_UV, EaseConfig(penalty=1e-5, neighbours=3))
    weight_VV = solve_ease(taste_UV, 1e-5 * mean_row(taste_UV))
    assert np.allclose(np.abs(table.weight_VK), -np.sort(-np.abs(weight_VV), axis=1)[:, :3], atol=1e-5)
    assert np.allclose(np.take_along_axis(weight_VV, table.neighbour_VK, axis=1), table.weight_VK)
    assert (table.weight_VK < 0).any()


def test_in_a_large_catalogue_only_the_items_with_most_weight_take_part() -> None:
    taste_UV = tastes(60, 30)
    table = fit_ease(taste_UV, EaseConfig(neighbours=29, max_items=12))
    chosen = set(np.argsort(-taste_UV.sum(axis=0))[:12].tolist())
    assert set(np.unique(table.neighbour_VK).tolist()) - {-1} <= chosen
    assert set(np.flatnonzero((table.neighbour_VK >= 0).any(axis=1)).tolist()) == chosen


def test_a_penalty_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="positive penalty"):
        EaseConfig(penalty=0)


def test_next_steps_are_the_ridge_regression_on_the_decayed_past() -> None:
    config = SequentialEaseConfig(3, 0.6, 2, 0.4, EaseConfig(penalty=0.3, neighbours=20))
    sequences = build_sequences(random_log(12, 20, 9), every_row(20))
    past, ahead = [], []
    for start, stop in zip(sequences.start_U1[:-1], sequences.start_U1[1:], strict=True):
        code, at = sequences.code_E[start:stop], sequences.at_ms_E[start:stop]
        steps = [np.bincount(code[at == time], minlength=20) for time in np.unique(at)]
        for place in range(len(steps)):
            past.append(sum(0.6**ago * steps[place - ago] for ago in range(3) if place >= ago))
            later = [0.4 ** (gap - 1) * steps[place + gap] for gap in (1, 2) if place + gap < len(steps)]
            ahead.append(sum(later, np.zeros(20)))
    x_GV, y_GV = np.array(past), np.array(ahead)
    gram_VV = x_GV.T @ x_GV
    expected = np.linalg.solve(gram_VV + 0.3 * gram_VV.sum(axis=1).mean() * np.eye(20), x_GV.T @ y_GV)
    np.fill_diagonal(expected, 0)
    assert np.allclose(dense(fit_sequential_ease(sequences, 20, config), 20), expected, atol=1e-5)


def test_a_log_without_a_next_step_has_no_weights() -> None:
    sequences = build_sequences(log_of([(1, 0)], [(1, 1)]), every_row(3))
    assert (fit_sequential_ease(sequences, 3, SequentialEaseConfig()).weight_VK == 0).all()
