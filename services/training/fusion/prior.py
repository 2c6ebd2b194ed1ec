"""What is believed of the fusion's weights before any data, and the signs they keep whatever the data say.

Called by   services/training/fusion/fit.py
A prior     because a log of purchases cannot teach everything that a request may say (a category page, a device, a
            least price): such a column never varies in it, and keeps its prior. Where the log teaches, it is weak
Signs       because columns say one thing in many ways and free weights cancel each other: an item would be recommended
            because its shopper does NOT like its category. Non-negative stacking (Breiman 1996) costs one part in a
            hundred of NDCG@10 on the validation week of the Complete Journey, and every part of a score makes sense
Units       weights of raw columns, not of standardised ones
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.models.columns import source_names
from shared.models.sources.history import HISTORY_SOURCES

NEVER_AGAINST = (
    *source_names(HISTORY_SOURCES),
    "content",
    "repeat_count",
    "repeat_recency",
    "brand_preference",
    "rating",
    "newness",
    "same_category_as_context",
)
AFFINITY_PRIOR = 1.0
"""an affinity is a log-lift: added as it is, it makes the naive Bayes estimate"""
PRIOR = {"same_category_as_context": 1.0, "over_budget": -2.0, "under_budget": -2.0, "category_preference": 0.5}
AT_LEAST = {"category_preference": 0.5}
AT_MOST = {"over_budget": -1.0, "under_budget": -1.0, "price_gap": 0.0}
"""a budget that a shopper names counts: at e times the budget, an item has at most 1/e of its chance"""


@dataclass(frozen=True)
class WeightPrior:
    """For each of F raw columns the weight believed, the least and the greatest."""

    centre_F: np.ndarray[tuple[int], np.dtype[np.float64]]
    least_F: np.ndarray[tuple[int], np.dtype[np.float64]]
    greatest_F: np.ndarray[tuple[int], np.dtype[np.float64]]

    @staticmethod
    def of(names: Sequence[str]) -> "WeightPrior":
        """Return the prior of the fusion's columns; a column it does not know is free around 0."""
        return WeightPrior(
            np.array([AFFINITY_PRIOR if is_affinity(name) else PRIOR.get(name, 0.0) for name in names]),
            np.array(
                [0.0 if name in NEVER_AGAINST or is_affinity(name) else AT_LEAST.get(name, -np.inf) for name in names]
            ),
            np.array([AT_MOST.get(name, np.inf) for name in names]),
        )


def is_affinity(name: str) -> bool:
    """Return whether a column is a log-lift of an AffinityTable."""
    return name.endswith("_affinity")
