"""SVD: the shopper is folded in from the history, and every item scored by its factors.

Called by   shared/models/recommender.py
Source      PureSVD (Cremonesi, Koren and Turrin 2010): scores = r V Vᵀ, with r the shopper's taste
"""

from dataclasses import dataclass

import numpy as np

from shared.models.sources.scores import EMPTY_SCORES, DenseScores, SourceScores, taste
from shared.models.tables import SvdFactors
from shared.models.tensors import History


@dataclass(frozen=True)
class SvdSource:
    """Scores from item factors."""

    table: SvdFactors
    name: str = "svd"

    def scores(self, history: History) -> SourceScores:
        """Return a score for every item; none for an empty history."""
        liked = taste(history)
        if not len(liked.code_C):
            return EMPTY_SCORES
        shopper_F = (liked.score_C / np.sqrt((liked.score_C**2).sum())) @ self.table.factor_VF[liked.code_C]
        return DenseScores(self.table.factor_VF @ shopper_F)
