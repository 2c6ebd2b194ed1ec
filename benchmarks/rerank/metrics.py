"""How varied, rare and widely spread a set of lists is.

Called by   frontier.py
Lists       Q lists of K catalogue rows, each row once within a list
Metrics     ild           mean distance of two items of a list, 1 - cosine of their content; mean over lists
            genre_ild     the same with distance 1 between different top categories, 0 within one
            novelty       mean over all places of -log2 p(item); p is (events + 1) / (all events + items)
            coverage      share of the items that stand in at least one list
            gini          of how often each item is shown: 0 all alike, towards 1 one item alone
            calibration   KL(p ‖ q) between the shopper's and the list's shares of top categories (Steck 2018)
"""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
SMOOTHING = 0.01


def ild(list_QK: Rows, vector_ND: Doubles) -> float:
    """Return the mean intra-list distance by cosine; a vector of zeros is at distance 1 from every other."""
    length_N = np.linalg.norm(vector_ND, axis=1, keepdims=True)
    unit_QKD = (vector_ND / np.where(length_N > 0, length_N, 1))[list_QK]
    size = list_QK.shape[1]
    own_QK = (unit_QKD * unit_QKD).sum(axis=2)
    total_Q = unit_QKD.sum(axis=1)
    pairs_Q = (total_Q * total_Q).sum(axis=1) - own_QK.sum(axis=1)
    return float(1 - (pairs_Q / (size * (size - 1))).mean())


def category_ild(list_QK: Rows, code_N: Rows) -> float:
    """Return the mean share of pairs of a list that are of different categories."""
    code_QK = code_N[list_QK]
    size = code_QK.shape[1]
    same_Q = (code_QK[:, :, None] == code_QK[:, None, :]).sum(axis=(1, 2)) - size
    return float(1 - (same_Q / (size * (size - 1))).mean())


def novelty(list_QK: Rows, count_N: Rows) -> float:
    """Return the mean self-information of the places, in bits."""
    chance_N = (count_N + 1) / (count_N.sum() + len(count_N))
    return float(-np.log2(chance_N[list_QK]).mean())


def coverage(list_QK: Rows, num_items: int) -> float:
    """Return the share of items shown at all."""
    return len(np.unique(list_QK)) / num_items


def gini(list_QK: Rows, num_items: int) -> float:
    """Return the Gini coefficient of the items' numbers of showings."""
    shown_N = np.sort(np.bincount(list_QK.ravel(), minlength=num_items))
    rank_N = np.arange(1, num_items + 1)
    return float(((2 * rank_N - num_items - 1) * shown_N).sum() / (num_items * shown_N.sum()))


def calibration(list_QK: Rows, code_N: Rows, wanted_QT: Doubles) -> float:
    """Return the mean divergence of the lists' categories from what each shopper's history holds."""
    divergences = []
    for list_K, wanted_T in zip(list_QK, wanted_QT, strict=True):
        share_T = np.bincount(code_N[list_K], minlength=len(wanted_T)) / len(list_K)
        smooth_T = (1 - SMOOTHING) * share_T + SMOOTHING * wanted_T
        held = wanted_T > 0
        divergences.append(float((wanted_T[held] * np.log(wanted_T[held] / smooth_T[held])).sum()))
    return float(np.mean(divergences))
