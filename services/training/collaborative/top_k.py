"""The heaviest K entries of every row of a product of two sparse matrices, block by block.

Called by   item_cf.py, co_visitation.py
Dimensions  V rows and columns, X inner, K kept
Cost        one multiply-add for each pair of entries that share an inner index; memory for one block of rows only,
            never the full matrix. SciPy leaves the interpreter's lock while it multiplies, so blocks run on several
            threads; the result does not depend on their number
Source      the way `implicit` and every fast item-kNN works: sparse rows, partial sort in place of a full one
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp

from shared.features.events import FloatArray, IntArray
from shared.models.tables import ItemNeighbours

BLOCK_ROWS = 256
RowWeighting = Callable[[sp.csr_array, int], sp.csr_array]
"""(a block of the product, its first row) → the block with its final weights"""


def top_k_product(
    left_VX: sp.csr_array, right_XV: sp.csr_array, k: int, weigh: RowWeighting, threads: int = 1
) -> ItemNeighbours:
    """Return for each row of left · right its K heaviest positive columns, heaviest first; the diagonal is left out."""

    def block(first: int) -> tuple[IntArray, FloatArray]:
        product = sp.csr_array(left_VX[first : first + BLOCK_ROWS] @ right_XV)
        return heaviest(weigh(product, first), first, k)

    rows = left_VX.shape[0]
    with ThreadPoolExecutor(threads) as pool:
        blocks = list(pool.map(block, range(0, rows, BLOCK_ROWS)))
    if not blocks:
        return ItemNeighbours(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return ItemNeighbours(
        np.concatenate([neighbour_RK for neighbour_RK, _ in blocks]),
        np.concatenate([weight_RK for _, weight_RK in blocks]),
    )


def heaviest(block_RV: sp.csr_array, first_row: int, k: int) -> tuple[IntArray, FloatArray]:
    """Return the K heaviest positive entries of each row, without the one on the diagonal; ties by column."""
    rows = block_RV.shape[0]
    neighbour_RK, weight_RK = np.full((rows, k), -1, np.int32), np.zeros((rows, k), np.float32)
    for row in range(rows):
        start, stop = block_RV.indptr[row], block_RV.indptr[row + 1]
        column, weight = block_RV.indices[start:stop], block_RV.data[start:stop]
        wanted = (weight > 0) & (column != first_row + row)
        column, weight = column[wanted], weight[wanted]
        best = _best(column, weight, k)
        neighbour_RK[row, : len(best)], weight_RK[row, : len(best)] = column[best], weight[best]
    return neighbour_RK, weight_RK


def _best(column: IntArray, weight: FloatArray, k: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the places of the K heaviest; the cut takes every tie in, so that the choice among them is by column."""
    place = np.arange(len(weight))
    if len(weight) > k:
        cut = np.partition(weight, len(weight) - k)[len(weight) - k]
        place = np.flatnonzero(weight >= cut)
    order = np.lexsort((column[place], -weight[place]))
    return place[order][:k]
