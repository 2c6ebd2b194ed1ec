"""iALS against the equations it solves."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from services.training.collaborative.ials import IalsConfig, fit_ials, solve_side
from services.training.collaborative.interactions import taste_matrix
from services.training.examples.sequences import build_sequences
from shared.models.sources.ials import IalsSource
from shared.models.sources.scores import SparseScores
from shared.models.tensors import History
from tests.unit.training.small_logs import every_row, random_log

CONFIG = IalsConfig(factors=6, unobserved=0.2, penalty=0.05, power=0.7, steps=25)


def tastes() -> sp.csr_array:
    random = np.random.default_rng(2)
    return sp.random_array((50, 30), density=0.2, rng=random, dtype=np.float32).tocsr()


def exact(taste_F: np.ndarray, other_OF: np.ndarray, config: IalsConfig) -> np.ndarray:  # type: ignore[type-arg]
    """Return the least squares solution of one row, written out."""
    events, (others, factors) = np.count_nonzero(taste_F), other_OF.shape
    penalty = config.penalty * (events + config.unobserved * others) ** config.power
    system = config.unobserved * other_OF.T @ other_OF + penalty * np.eye(factors)
    system += sum(weight * np.outer(other, other) for weight, other in zip(taste_F, other_OF, strict=True))
    return np.linalg.solve(system, other_OF.T @ taste_F)


def test_a_side_is_the_least_squares_solution_given_the_other() -> None:
    taste_UV = tastes()
    random = np.random.default_rng(3)
    item_VF, start_UF = (random.normal(size=(rows, 6)).astype(np.float32) for rows in (30, 50))
    with ThreadPoolExecutor(2) as pool:
        found_UF = solve_side(taste_UV, item_VF, start_UF, CONFIG, pool)
    dense_UV = taste_UV.toarray()
    for user in np.flatnonzero(dense_UV.any(axis=1)):
        assert np.allclose(found_UF[user], exact(dense_UV[user], item_VF, CONFIG), atol=1e-3)


def test_serving_folds_a_history_in_by_the_equations_of_training() -> None:
    taste_UV = tastes()
    table = fit_ials(taste_UV, CONFIG, seed=1)
    row = taste_UV[[0]]
    found_F = IalsSource(table).fold_in(SparseScores(row.indices.astype(np.int32), row.data))
    assert np.allclose(found_F, exact(row.toarray()[0], table.factor_VF, CONFIG), atol=1e-3)


def test_two_steps_a_sweep_come_as_far_as_solving_exactly() -> None:
    taste_UV = tastes()
    few, many = (fit_ials(taste_UV, replace(CONFIG, steps=steps, sweeps=30), 1).factor_VF for steps in (2, 25))
    assert np.allclose(few @ few.T, many @ many.T, atol=0.02 * np.abs(many @ many.T).max())


def test_scores_a_history_towards_its_own_half_of_the_shop_whatever_the_threads() -> None:
    taste_UV = taste_matrix(build_sequences(random_log(60, 40, 30), every_row(40)), 40, 90)
    one, two = (fit_ials(taste_UV, IalsConfig(factors=4), seed=1, threads=threads) for threads in (1, 2))
    assert (one.factor_VF == two.factor_VF).all()
    history = History(np.arange(5, dtype=np.int32), np.full(5, 6, np.int8), np.arange(5, dtype=np.int64), 9)
    score_V = IalsSource(one).scores(history).at(np.arange(40, dtype=np.int32))
    assert score_V[:20].mean() > 5 * abs(score_V[20:].mean())


def test_an_empty_history_has_no_scores() -> None:
    nothing = History(np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int64), 9)
    assert not len(IalsSource(fit_ials(tastes(), CONFIG, seed=1)).scores(nothing).top(5, None))
