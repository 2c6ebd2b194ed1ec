"""How sure a number is: intervals by drawing users again, alone and in pairs of models.

Called by   measure.py (interval of each row), result.py (one row against another)
Source      paired bootstrap (Efron and Tibshirani 1993): a draw takes as many users as there are, with replacement; two
            models are compared on the same draws, so that what is hard for both does not count
Dimensions  Q questions, M values of each, R draws
"""

from typing import Any

import numpy as np
import numpy.typing as npt

DRAWS = 1000
SEED = 20_250_101
Doubles = npt.NDArray[np.float64]


def drawn_means(value_QM: Doubles, draws: int = DRAWS) -> Doubles:
    """Return mean_RM of each draw; equal numbers of questions give equal draws."""
    questions = len(value_QM)
    random = np.random.default_rng(SEED)
    mean_RM = np.empty((draws, value_QM.shape[1]))
    for draw in range(draws):
        times_Q = np.bincount(random.integers(0, questions, questions), minlength=questions)
        mean_RM[draw] = times_Q @ value_QM / questions
    return mean_RM


def interval(mean_R: Doubles) -> list[float]:
    """Return the bounds that hold 95 % of the draws."""
    return [round(float(bound), 6) for bound in np.quantile(mean_R, (0.025, 0.975))]


def paired(first_Q: Doubles, second_Q: Doubles) -> dict[str, Any]:
    """Return how far the first stands above the second, with interval, and the share of draws in which it does."""
    mean_R = drawn_means((first_Q - second_Q)[:, None])[:, 0]
    return {
        "difference": round(float((first_Q - second_Q).mean()), 6),
        "ci95": interval(mean_R),
        "share_above": round(float((mean_R > 0).mean()), 4),
    }
