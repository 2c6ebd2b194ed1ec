"""iALS: the shopper's factors are solved from the history, and every item scored by a product.

Called by   benchmarks/quality (the row ials)
Source      implicit feedback by alternating least squares (Hu, Koren and Volinsky 2008), with the penalty of Rendle et
            al. (2021); the same equations as services/training/collaborative/ials.py
Dimensions  V items, F factors, C items of the history
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray
from shared.models.sources.scores import EMPTY_SCORES, DenseScores, SourceScores, SparseScores, taste
from shared.models.tables import FoldInFactors
from shared.models.tensors import History


@dataclass(frozen=True)
class IalsSource:
    """Scores from item factors."""

    table: FoldInFactors
    name: str = "ials"

    def scores(self, history: History) -> SourceScores:
        """Return a score for every item; none for an empty history."""
        liked = taste(history)
        if not len(liked.code_C):
            return EMPTY_SCORES
        return DenseScores(self.table.factor_VF @ self.fold_in(liked))

    def fold_in(self, liked: SparseScores) -> FloatArray:
        """Return the factors that explain a taste best."""
        factor_CF = self.table.factor_VF[liked.code_C]
        penalty = self.table.penalty_N[min(len(factor_CF), len(self.table.penalty_N) - 1)]
        weighted_FC = factor_CF.T * liked.score_C
        system_FF = self.table.gram_FF + weighted_FC @ factor_CF
        system_FF[np.diag_indices_from(system_FF)] += penalty
        shopper_F: FloatArray = np.linalg.solve(system_FF, weighted_FC.sum(axis=1)).astype(np.float32)
        return shopper_F
