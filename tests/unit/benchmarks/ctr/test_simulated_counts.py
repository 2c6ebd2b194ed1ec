"""Counts of the simulated shop: nothing later than a list reaches its features, and a lift is against what is usual."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from benchmarks.ctr.data_sets.simulated_counts import Counts, one_hot
from services.training.simulation.config import DAY_MS, SimulationConfig
from services.training.simulation.log import SimulatedLog
from services.training.simulation.simulate import simulate

CONFIG = SimulationConfig(num_users=120, num_items=60, days=20, sessions_per_user=12.0)
LEARNED_BEFORE_MS, CUT_MS = CONFIG.start_ms + 6 * DAY_MS, CONFIG.start_ms + 12 * DAY_MS


@pytest.fixture(scope="module")
def log() -> SimulatedLog:
    return simulate(CONFIG)


def before(columns: Any, at_ms: np.ndarray) -> Any:
    kept = at_ms < CUT_MS
    return replace(columns, **{field.name: getattr(columns, field.name)[kept] for field in fields(columns)})


def columns_of(log: SimulatedLog) -> dict[str, np.ndarray]:
    names, number_NF = Counts(log, LEARNED_BEFORE_MS).of_items()
    return {name: number_NF[:, place] for place, name in enumerate(names)}


def test_what_happens_later_changes_no_feature_of_a_list(log: SimulatedLog) -> None:
    shown = before(log.impressions, log.impressions.shown_at_ms_N)
    past = replace(
        log,
        impressions=shown,
        truth=before(log.truth, log.impressions.shown_at_ms_N),
        events=before(log.events, log.events.at_ms_E),
    )
    whole, cut = columns_of(log), columns_of(past)
    for name, column in cut.items():
        np.testing.assert_allclose(whole[name][: len(shown)], column, rtol=1e-4, atol=1e-4, err_msg=name)


def test_items_that_were_clicked_more_than_expected_go_on_to_be(log: SimulatedLog) -> None:
    columns = columns_of(log)
    late = log.impressions.shown_at_ms_N >= CUT_MS
    clicked_N, lift_N = log.impressions.clicked_N[late], columns["item_click_lift"][late]
    often, seldom = lift_N > np.quantile(lift_N, 0.8), lift_N < np.quantile(lift_N, 0.2)
    assert clicked_N[often].mean() > 1.3 * clicked_N[seldom].mean()


def test_one_hot_has_one_column_of_each_list_in_each_row() -> None:
    matrix = one_hot([np.array([0, 2, 1]), np.array([1, 0, 1])]).toarray()
    assert matrix.tolist() == [[1, 0, 0, 0, 1], [0, 0, 1, 1, 0], [0, 1, 0, 0, 1]]
