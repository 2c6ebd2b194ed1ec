"""EASE: the linear item-item model that best restores each shopper's row from its other items, in closed form.

Called by   benchmarks/quality (the row ease)
Solution    P = (X'X + l2 I)^-1; weight of item i for item j = -P_ij / P_jj, 0 on the diagonal; kept are the
            heaviest positive weights from each item
Size        time grows with the cube, memory with the square of the items: 15,000 items are 0.9 GB and half a minute on
            two cores. Above, only the `max_items` items with the most weight take part; the others have no neighbours
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

    l2: float = 200.0
    neighbours: int = 300
    max_items: int = 15_000


def fit_ease(taste_UV: sp.csr_array, config: EaseConfig) -> ItemNeighbours:
    """Return for each item the items that it speaks for most."""
    items = taste_UV.shape[1]
    neighbour_VK = np.full((items, config.neighbours), -1, np.int32)
    weight_VK = np.zeros((items, config.neighbours), np.float32)
    code_M = _most_weighted(taste_UV, config.max_items)
    weight_MM = solve_ease(sp.csr_array(taste_UV[:, code_M]), config.l2)
    for first in range(0, len(code_M), BLOCK_ROWS):
        block_RM = weight_MM[first : first + BLOCK_ROWS]
        row_E, column_E = np.nonzero(block_RM > 0)
        entries = Entries(row_E, code_M[column_E], block_RM[row_E, column_E])
        rows = code_M[first : first + BLOCK_ROWS]
        neighbour_VK[rows], weight_VK[rows] = heaviest(entries, len(rows), config.neighbours)
    return ItemNeighbours(neighbour_VK, weight_VK)


def solve_ease(taste_UM: sp.csr_array, l2: float) -> FloatArray:
    """Return weight_MM: a row of tastes times it is the score of each item. ValueError when l2 is not positive."""
    if l2 <= 0:
        raise ValueError(f"EASE needs a positive l2, not {l2}")
    gram_MM = np.asfortranarray((taste_UM.T @ taste_UM).toarray(), np.float32)
    gram_MM[np.diag_indices_from(gram_MM)] += np.float32(l2)
    factor_MM, _ = scipy.linalg.lapack.spotrf(gram_MM, lower=1, overwrite_a=1)
    inverse_MM, _ = scipy.linalg.lapack.spotri(factor_MM, lower=1, overwrite_c=1)
    diagonal_M = np.diagonal(inverse_MM).copy()
    # Only the lower half was filled; the rows of its transpose are contiguous.
    upper_MM = np.triu(inverse_MM.T, 1)
    weight_MM: FloatArray = (upper_MM + upper_MM.T) / -diagonal_M
    return weight_MM


def _most_weighted(taste_UV: sp.csr_array, limit: int) -> LongArray:
    """Return at most `limit` item codes, ascending; ties by code."""
    weight_V = taste_UV.sum(axis=0)
    return np.sort(np.argsort(-weight_V, kind="stable")[:limit])
