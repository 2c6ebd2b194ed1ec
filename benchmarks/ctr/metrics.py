"""How good chances are: order (AUC, grouped AUC) and truth (log-loss, normalised entropy, ECE, deciles).

Called by   benchmarks/ctr/measure.py
In          labels and chances of one task
Grouped     AUC inside each group (a shopper), weighted by its candidates; groups of one class say nothing
NE          log-loss over that of the mean rate alone (He et al. 2014): below 1 something was learned
ECE         mean distance of predicted and observed rates over bins of equally many candidates
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from sklearn.metrics import log_loss, roc_auc_score

BINS = 20
Labels = npt.NDArray[np.bool_]
Chances = npt.NDArray[Any]


def measures(label_N: Labels, p_N: Chances, group_N: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return every measure of one task."""
    p_N = np.clip(p_N.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = float(log_loss(label_N, p_N, labels=[False, True]))
    rate = float(label_N.mean())
    return {
        "auc": float(roc_auc_score(label_N, p_N)),
        "gauc": grouped_auc(label_N, p_N, group_N),
        "log_loss": loss,
        "ne": loss / float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))),
        "ece": calibration_error(label_N, p_N),
        "deciles": deciles(label_N, p_N),
    }


def grouped_auc(label_N: Labels, p_N: Chances, group_N: npt.NDArray[np.int64]) -> float | None:
    """Return the mean AUC of the groups that have both classes; None when no group has."""
    order_N = np.argsort(group_N, kind="stable")
    starts = np.flatnonzero(np.diff(group_N[order_N], prepend=group_N[order_N[0]] - 1))
    total, weight = 0.0, 0
    for place_M in np.split(order_N, starts[1:]):
        positives = int(label_N[place_M].sum())
        negatives = len(place_M) - positives
        if positives and negatives:
            ranks = rankdata(p_N[place_M])[label_N[place_M]].sum()
            total += len(place_M) * (ranks - positives * (positives + 1) / 2) / (positives * negatives)
            weight += len(place_M)
    return total / weight if weight else None


def calibration_error(label_N: Labels, p_N: Chances, bins: int = BINS) -> float:
    """Return the ECE over bins of equal mass."""
    parts = np.array_split(np.argsort(p_N, kind="stable"), bins)
    return float(
        sum(len(part) * abs(p_N[part].mean() - label_N[part].mean()) for part in parts if len(part)) / len(p_N)
    )


def deciles(label_N: Labels, p_N: Chances) -> list[dict[str, float]]:
    """Return predicted and observed rates by tenths of the predictions, lowest first."""
    parts = np.array_split(np.argsort(p_N, kind="stable"), 10)
    return [{"predicted": float(p_N[part].mean()), "observed": float(label_N[part].mean())} for part in parts]


def auc_gain(label_N: Labels, p_N: Chances, against_N: Chances, draws: int, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of a difference of AUCs: paired bootstrap of the candidates."""
    rng = np.random.default_rng(seed)
    gains = []
    for _ in range(draws):
        place = rng.integers(0, len(label_N), len(label_N))
        if 0 < label_N[place].sum() < len(place):
            drawn = label_N[place]
            gains.append(roc_auc_score(drawn, p_N[place]) - roc_auc_score(drawn, against_N[place]))
    low, high = np.quantile(gains, [0.025, 0.975])
    return float(low), float(high)
