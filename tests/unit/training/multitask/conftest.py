"""One ranker of the small shop and one model of the simulated shop, for all tests."""

import pytest
import torch

from services.training.multitask.fit import FittedRanker, fit_ranker
from services.training.pipeline import Pipeline, TrainedModel
from services.training.simulation.config import SimulationConfig
from services.training.simulation.log import SimulatedLog
from services.training.simulation.simulate import simulate
from tests.unit.training.multitask.shown_lists import CONFIG, UTC, Shown
from tests.unit.training.multitask.small_shop import FIELDS, SMALL, small_shop


@pytest.fixture(scope="session")
def fitted() -> FittedRanker:
    """Return it, trained once."""
    torch.set_num_threads(1)
    return fit_ranker(small_shop(2500).examples, small_shop(400, 2).examples, FIELDS, SMALL)


@pytest.fixture(scope="session")
def log() -> SimulatedLog:
    """Return the log of a simulated shop."""
    return simulate(SimulationConfig(num_users=200, num_items=60, days=21, sessions_per_user=9.0))


@pytest.fixture(scope="session")
def trained(log: SimulatedLog) -> TrainedModel:
    """Return the model of a shop that logs its lists."""
    model = Pipeline(Shown(log, impressions=True), UTC, CONFIG, lambda *_: None).run()
    assert model is not None
    return model
