"""How hard a simulated log is: the AUC of the truth itself, and how much of it a logistic regression finds.

Called by   services/command/simulate_command.py (aisle simulate --difficulty), tests
Oracle      the AUC of the true probabilities: no model can expect more
Share       (AUC - 0.5) / (oracle - 0.5)
Regression  one-hot features of shopper, item, moment and place, no crosses; learned on the first part of the log and
            measured on the rest, where the oracle is measured, too
Errors      ValueError from scikit-learn when a part holds one class only
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from services.training.simulation.log import SimulatedLog
from shared.features.events import IntArray

LEARNED_SHARE = 0.8
"""of the days"""
NUM_BANDS = 10
L2_INVERSE = 0.3


@dataclass(frozen=True)
class Difficulty:
    """One task."""

    task: str
    positive_share: float
    oracle_auc: float
    regression_auc: float

    @property
    def regression_share(self) -> float:
        """Part of the oracle's distance from chance."""
        return (self.regression_auc - 0.5) / (self.oracle_auc - 0.5)


def measure_difficulty(log: SimulatedLog) -> list[Difficulty]:
    """Return the difficulty of clicks and of purchases, both over all impressions."""
    shown, truth = log.impressions, log.truth
    p_purchase_N = truth.p_click_N * truth.p_purchase_given_click_N
    first_N = shown.shown_at_ms_N < np.quantile(shown.shown_at_ms_N, LEARNED_SHARE)
    matrix = one_hot(log)
    found = []
    for task, label_N, p_N in (
        ("click", shown.clicked_N, truth.p_click_N),
        ("purchase", shown.purchased_N, p_purchase_N),
    ):
        model = LogisticRegression(C=L2_INVERSE, max_iter=60, tol=1e-3).fit(matrix[first_N], label_N[first_N])
        score_N = model.decision_function(matrix[~first_N])
        held_out_N = label_N[~first_N]
        found.append(
            Difficulty(
                task,
                float(label_N.mean()),
                float(roc_auc_score(held_out_N, p_N[~first_N])),
                float(roc_auc_score(held_out_N, score_N)),
            )
        )
    return found


def one_hot(log: SimulatedLog) -> Any:
    """Return a sparse matrix with one column for each value of each feature."""
    shown, items, users = log.impressions, log.catalogue, log.shoppers
    user_N, item_N = shown.user_N, shown.item_N
    columns: list[IntArray] = [
        user_N,
        users.age_U[user_N],
        users.gender_U[user_N],
        users.region_U[user_N],
        item_N,
        items.category_V[item_N],
        items.brand_V[item_N],
        _bands(items.price_V)[item_N],
        _bands(items.rating_V)[item_N],
        shown.hour_N,
        shown.weekday_N,
        shown.device_N,
        shown.position_N,
        np.minimum(shown.times_shown_N, NUM_BANDS),
    ]
    parts = [_indicator(column) for column in columns]
    return sparse.hstack(parts, format="csr")


def _bands(number_V: npt.NDArray[Any]) -> IntArray:
    """Return the tenth of the numbers that each belongs to."""
    return np.searchsorted(np.quantile(number_V, np.linspace(0, 1, NUM_BANDS + 1)[1:-1]), number_V).astype(np.int32)


def _indicator(code_N: IntArray) -> Any:
    size = len(code_N)
    ones = np.ones(size, np.float32)
    return sparse.csr_matrix((ones, code_N, np.arange(size + 1)), (size, int(code_N.max()) + 1))
