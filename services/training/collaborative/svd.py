"""SVD: item factors of the taste matrix.

Called by   services/training/pipeline.py
Source      PureSVD (Cremonesi, Koren and Turrin 2010) by a randomised range finder (Halko et al. 2011, scikit-learn);
            columns are divided by popularity^damping first, so that the factors are not spent on the most popular items
Dimensions  U shoppers, V items, F factors
"""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import randomized_svd

from shared.models.tables import SvdFactors

POWER_PASSES = 2


def fit_svd(taste_UV: sp.csr_array, factors: int, damping: float, seed: int) -> SvdFactors:
    """Return the right singular vectors, scaled so that a history folds in by a plain product."""
    length_U = np.sqrt(taste_UV.power(2).sum(axis=1))
    scale_U = np.where(length_U > 0, 1 / np.maximum(length_U, 1e-9), 0)
    weight_V = taste_UV.sum(axis=0)
    scale_V = np.where(weight_V > 0, 1 / np.maximum(weight_V, 1e-9) ** damping, 0)
    scaled_UV = sp.csr_array(sp.diags_array(scale_U) @ taste_UV @ sp.diags_array(scale_V)).astype(np.float32)
    factors = min(factors, min(scaled_UV.shape) - 1)
    _, _, right_FV = randomized_svd(scaled_UV, n_components=factors, n_iter=POWER_PASSES, random_state=seed)
    return SvdFactors(np.ascontiguousarray(right_FV.T, np.float32))
