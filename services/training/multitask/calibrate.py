"""Fit the calibration of each step of the funnel on a slice of the log that is later than the training.

Called by   services/training/pipeline.py, benchmarks/ctr
In          the ranker's chances p_NT and the labels of that slice
Out         Calibration (shared/models/multitask_calibration.py)
Method      platt: a line in logits (Platt 1999); isotonic: pooled neighbours (Zadrozny and Elkan 2002), as a line
            through the means of at least FEWEST_OF_A_KNOT positives each, so that few clicks do not make a staircase
"""

from typing import Literal

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from services.training.multitask.labels import LabelArray
from shared.features.events import FloatArray
from shared.models.multitask_calibration import Calibration, Curve, logit

FEWEST_OF_A_KNOT = 20
FARTHEST_LOGIT = 16.0


def fit_calibration(p_NT: FloatArray, label_NT: LabelArray, method: Literal["platt", "isotonic"]) -> Calibration:
    """Return the calibration of every step; a step without both classes stays as it is."""
    fit = platt if method == "platt" else isotonic
    curves = []
    for task in range(p_NT.shape[1]):
        label_N, logit_N = label_NT[:, task], logit(p_NT[:, task])
        positives = int(label_N.sum())
        usable = FEWEST_OF_A_KNOT <= positives <= len(label_N) - FEWEST_OF_A_KNOT
        curves.append(fit(logit_N, label_N) if usable else unchanged())
    return Calibration(tuple(curves))


def unchanged() -> Curve:
    """Return the curve that changes nothing."""
    ends_K = np.array([-FARTHEST_LOGIT, FARTHEST_LOGIT], np.float32)
    return Curve(ends_K, ends_K)


def platt(logit_N: FloatArray, label_N: LabelArray) -> Curve:
    """Return a line; a line that would fall is replaced by a shift."""
    model = LogisticRegression(C=1e6, max_iter=1000).fit(logit_N[:, None], label_N)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        return unchanged()
    ends_K = np.array([-FARTHEST_LOGIT, FARTHEST_LOGIT], np.float32)
    return Curve(ends_K, (slope * ends_K + intercept).astype(np.float32))


def isotonic(logit_N: FloatArray, label_N: LabelArray) -> Curve:
    """Return a rising line through the means of groups of neighbours."""
    order_N = np.argsort(logit_N, kind="stable")
    groups = max(2, min(50, int(label_N.sum()) // FEWEST_OF_A_KNOT))
    # Groups of equally many positives: there a rate is known equally well.
    seen_N = np.cumsum(label_N[order_N])
    group_N = np.minimum(np.maximum(seen_N - 1, 0) * groups // seen_N[-1], groups - 1)
    size_K = np.bincount(group_N)
    mean_K = np.bincount(group_N, logit_N[order_N]) / size_K
    rate_K = np.bincount(group_N, label_N[order_N]) / size_K
    level_K = IsotonicRegression().fit(mean_K, logit(rate_K.astype(np.float32)), sample_weight=size_K).predict(mean_K)
    knot_K, first = np.unique(mean_K.astype(np.float32), return_index=True)
    return Curve(knot_K, level_K[first].astype(np.float32)) if len(knot_K) >= 2 else unchanged()
