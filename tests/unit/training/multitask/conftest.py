"""One ranker of the small shop for all tests."""

import pytest
import torch

from services.training.multitask.fit import FittedRanker, fit_ranker
from tests.unit.training.multitask.small_shop import FIELDS, SMALL, small_shop


@pytest.fixture(scope="session")
def fitted() -> FittedRanker:
    """Return it, trained once."""
    torch.set_num_threads(1)
    return fit_ranker(small_shop(2500).examples, small_shop(400, 2).examples, FIELDS, SMALL)
