"""Draw the items that the sampled softmax compares the targets with, and how often each was to be expected.

Called by   services/training/sequence/trainer.py, once a batch: all queries of a batch share their negatives
Dimensions  V items, N negatives (distinct)
Idea        a mixture of uniform and popularity: uniform alone rarely meets a strong rival, popularity alone never meets
            the tail. A sampled item stands for 1 / (expected count) items, so log(expected count) is subtracted from
            its logit (logQ; Bengio and Senecal 2008). The target is in the sum with certainty and is not corrected
            ("Correcting the LogQ correction", RecSys 2025)
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray, LongArray


@dataclass(frozen=True)
class Negatives:
    """Distinct items and the logarithm of how many draws of each were expected beyond those it got."""

    code_N: LongArray
    log_expected_N: FloatArray


class NegativeSampler:
    """A fixed distribution over items; draws are made by the caller's generator, so that a run can be repeated."""

    def __init__(self, count_V: LongArray, draws: int, popularity_share: float, exponent: float) -> None:
        smoothed_V = np.maximum(count_V, 1).astype(np.float64) ** exponent
        uniform = 1.0 / len(count_V)
        self._probability_V = popularity_share * smoothed_V / smoothed_V.sum() + (1 - popularity_share) * uniform
        self._cumulative_V = np.cumsum(self._probability_V)
        self._draws = draws

    def draw(self, random: np.random.Generator) -> Negatives:
        """Return the distinct items of `draws` draws; an item drawn twice counts twice."""
        at = random.random(self._draws) * self._cumulative_V[-1]
        code_N, times_N = np.unique(np.searchsorted(self._cumulative_V, at, side="right"), return_counts=True)
        log_expected_N = np.log(self._draws * self._probability_V[code_N] / times_N)
        return Negatives(code_N.astype(np.int64), log_expected_N.astype(np.float32))


class AllItems:
    """Every item as a negative: the full softmax, for a vocabulary small enough to afford it."""

    def draw(self, random: np.random.Generator) -> None:
        """Return no negatives, which asks for all items; draws nothing from `random`."""
