"""EASE: the linear item-item model that best restores each shopper's row from its other items, in closed form.

Called by   sequential_ease.py (the rule of the penalty, and which weights are kept), benchmarks/quality (the row ease)
Solution    P = (X'X + l2 I)^-1; weight of item i for item j = -P_ij / P_jj, 0 on the diagonal; kept are the
            K weights from each item that are farthest from 0
l2          `penalty` × the mean row of X'X: what an item shares with all items. So one penalty suits logs of one item
            at a time and logs of baskets, dense ones and thin ones
Size        time grows with the cube, memory with the square of the items: 12,000 items are 0.6 GB twice and half a
            minute on two cores. Above `max_items` only the items with the most weight take part; the others have no
            neighbours
Source      Embarrassingly Shallow Autoencoders (Steck 2019)
Dimensions  U shoppers, V items, M items that take part, K neighbours
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from services.training.collaborative.top_k import BLOCK_ROWS, Entries, heaviest
from shared.features.events import FloatArray, LongArray
from shared.models.tables import ItemNeighbours


@dataclass(frozen=True)
class EaseConfig:
    """How strongly the weights are drawn to 0, and how many are kept."""

    penalty: float = 0.2
    neighbours: int = 200
    max_items: int = 15_000

    def __post_init__(self) -> None:
        if self.penalty <= 0:
            raise ValueError(f"EASE needs a positive penalty, not {self.penalty}")


def fit_ease(taste_UV: sp.csr_array, config: EaseConfig) -> ItemNeighbours:
    """Return for each item the items that it speaks for, or against, most."""
    code_M = most_weighted(taste_UV, config.max_items)
    taste_UM = sp.csr_array(taste_UV[:, code_M])
    weight_MM = solve_ease(taste_UM, config.penalty * mean_row(taste_UM))
    return keep_heaviest(weight_MM, code_M, taste_UV.shape[1], config.neighbours)


def solve_ease(taste_UM: sp.csr_array, l2: float) -> FloatArray:
    """Return weight_MM: a row of tastes times it is the score of each item."""
    inverse_MM = inverse_gram(taste_UM, l2)
    weight_MM: FloatArray = inverse_MM / -np.diagonal(inverse_MM)
    np.fill_diagonal(weight_MM, 0)
    return weight_MM


def inverse_gram(row_XM: sp.csr_array, l2: float) -> FloatArray:
    """Return (X'X + l2 I)^-1."""
    gram_MM = np.asfortranarray((row_XM.T @ row_XM).toarray(), np.float32)
    gram_MM[np.diag_indices_from(gram_MM)] += np.float32(l2)
    factor_MM, _ = scipy.linalg.lapack.spotrf(gram_MM, lower=1, overwrite_a=1)
    inverse_MM, _ = scipy.linalg.lapack.spotri(factor_MM, lower=1, overwrite_c=1)
    # Only the lower half was filled; the rows of its transpose are contiguous.
    upper_MM = np.triu(inverse_MM.T)
    whole_MM: FloatArray = upper_MM + upper_MM.T
    whole_MM[np.diag_indices_from(whole_MM)] /= 2
    return whole_MM


def mean_row(row_XM: sp.csr_array) -> float:
    """Return the mean row sum of X'X; 1 for an empty matrix."""
    total = float((row_XM.sum(axis=1).astype(np.float64) ** 2).sum())
    return total / row_XM.shape[1] if total > 0 else 1.0


def most_weighted(row_XV: sp.csr_array, limit: int) -> LongArray:
    """Return at most `limit` item codes, ascending; ties by code."""
    weight_V = row_XV.sum(axis=0)
    return np.sort(np.argsort(-weight_V, kind="stable")[:limit])


def keep_heaviest(weight_MM: FloatArray, code_M: LongArray, items: int, neighbours: int) -> ItemNeighbours:
    """Return the weights of each row that are farthest from 0; ties by item."""
    neighbour_VK = np.full((items, neighbours), -1, np.int32)
    weight_VK = np.zeros((items, neighbours), np.float32)
    for first in range(0, len(code_M), BLOCK_ROWS):
        block_RM = weight_MM[first : first + BLOCK_ROWS]
        row_E, column_E = np.nonzero(block_RM)
        entries = Entries(row_E, column_E, np.abs(block_RM[row_E, column_E]))
        column_RK, _ = heaviest(entries, len(block_RM), neighbours)
        rows = code_M[first : first + BLOCK_ROWS]
        known_RK = column_RK >= 0
        neighbour_VK[rows] = np.where(known_RK, code_M[column_RK], -1)
        weight_VK[rows] = np.where(known_RK, np.take_along_axis(block_RM, np.maximum(column_RK, 0), axis=1), 0)
    return ItemNeighbours(neighbour_VK, weight_VK)
