"""The heaviest K entries of every row of a product of two sparse matrices, block by block.

Called by   item_cf.py, co_visitation.py, transitions.py
Dimensions  V rows and columns, X inner, H dense columns, R rows of a block, E entries of a block, K kept
Cost        one multiply-add for each pair of entries that share an inner index; memory for one block of rows only,
            never the full matrix. SciPy leaves the interpreter's lock while it multiplies, so blocks run on several
            threads; the result does not depend on their number
Source      sparse rows and a partial choice, as every fast item-kNN; what is new is that columns full enough are
            multiplied as dense ones (15 times cheaper an entry), and that rows are chosen by one sort of integers
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from shared.features.events import FloatArray, IntArray, LongArray
from shared.models.tables import ItemNeighbours
from shared.models.tensors import BoolArray

BLOCK_ROWS = 256
DENSE_SHARE = 1 / 32
"""a column with entries in more of its rows than this is cheaper to multiply as a dense one"""
DENSE_BYTES = 256 * 2**20
WEIGHT_BITS, COLUMN_BITS = 31, 25
"""of a sort key of 64 bits, after 8 for the row of the block: a positive float orders as its bits do"""

RowWeighting = Callable[[LongArray, LongArray, FloatArray], FloatArray]
"""(row_E, column_E, product_E) → the weight of each entry"""


@dataclass(frozen=True)
class Entries:
    """Entries of a block of rows; in any order, where nothing else is said."""

    row_E: LongArray
    column_E: LongArray
    weight_E: FloatArray

    def where(self, kept_E: BoolArray) -> "Entries":
        """Return the entries that the mask keeps, in order."""
        return Entries(self.row_E[kept_E], self.column_E[kept_E], self.weight_E[kept_E])


@dataclass(frozen=True)
class SplitMatrix:
    """The right factor: full columns dense, all others sparse."""

    sparse_XV: sp.csr_array
    dense_XH: FloatArray
    column_H: LongArray

    @staticmethod
    def of(right_XV: sp.csr_array) -> "SplitMatrix":
        """Split a matrix; the dense part has at most DENSE_BYTES."""
        rows, columns = right_XV.shape
        count_V = np.bincount(right_XV.indices, minlength=columns)
        most = DENSE_BYTES // (4 * max(1, rows))
        full_V = count_V > max(DENSE_SHARE * rows, 1)
        column_H = np.sort(np.argsort(-count_V, kind="stable")[: min(most, int(full_V.sum()))])
        if not len(column_H):
            return SplitMatrix(right_XV, np.empty((rows, 0), np.float32), column_H)
        keep_V = np.ones(columns, np.float32)
        keep_V[column_H] = 0
        sparse_XV = sp.csr_array(right_XV @ sp.diags_array(keep_V))
        sparse_XV.eliminate_zeros()
        return SplitMatrix(sparse_XV, right_XV[:, column_H].toarray().astype(np.float32), column_H)

    def product(self, left_RX: sp.csr_array) -> Iterator[Entries]:
        """Yield the entries of left · self that are not 0, those of the sparse and those of the dense columns."""
        sparse_RV = sp.coo_array(left_RX @ self.sparse_XV)
        row_E, column_E = (axis.astype(np.int64) for axis in sparse_RV.coords)
        yield Entries(row_E, column_E, sparse_RV.data)
        if len(self.column_H):
            dense_RH = left_RX @ self.dense_XH
            row_E, place_E = np.nonzero(dense_RH)
            yield Entries(row_E, self.column_H[place_E], dense_RH[row_E, place_E])


def top_k_product(
    left_VX: sp.csr_array, right_XV: sp.csr_array, k: int, weigh: RowWeighting, threads: int = 1
) -> ItemNeighbours:
    """Return for each row of left · right its K heaviest positive columns, heaviest first; the diagonal is left out.

    ValueError for 2^25 columns or more.
    """
    rows, columns = left_VX.shape[0], right_XV.shape[1]
    if columns >= 1 << COLUMN_BITS:
        raise ValueError(f"{columns:,} columns are more than a table of neighbours can have, 2^{COLUMN_BITS}")
    right = SplitMatrix.of(right_XV)

    def block(first: int) -> tuple[IntArray, FloatArray]:
        left_RX = left_VX[first : first + BLOCK_ROWS]
        parts = []
        for found in right.product(left_RX):
            weight_E = weigh(found.row_E + first, found.column_E, found.weight_E)
            weighed = Entries(found.row_E, found.column_E, np.where(found.column_E == found.row_E + first, 0, weight_E))
            parts.append(weighed.where(may_be_kept(weighed, left_RX.shape[0], k)))
        columns = zip(*((part.row_E, part.column_E, part.weight_E) for part in parts), strict=True)
        return heaviest(Entries(*map(np.concatenate, columns)), left_RX.shape[0], k)

    with ThreadPoolExecutor(threads) as pool:
        blocks = list(pool.map(block, range(0, rows, BLOCK_ROWS)))
    if not blocks:
        return ItemNeighbours(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
    return ItemNeighbours(
        np.concatenate([neighbour_RK for neighbour_RK, _ in blocks]),
        np.concatenate([weight_RK for _, weight_RK in blocks]),
    )


def may_be_kept(entries: Entries, rows: int, k: int) -> BoolArray:
    """Return which entries, ascending by row, are positive and no lighter than the K-th heaviest of their row.

    Choosing the K-th costs a tenth of sorting, and leaves little to sort.
    """
    kept_E = entries.weight_E > 0
    stop_R = np.searchsorted(entries.row_E, np.arange(rows), side="right").tolist()
    for start, stop in pairwise([0, *stop_R]):
        if stop - start > k:
            weight_X = entries.weight_E[start:stop]
            kept_E[start:stop] &= weight_X >= np.partition(weight_X, -k)[-k]
    return kept_E


def heaviest(entries: Entries, rows: int, k: int) -> tuple[IntArray, FloatArray]:
    """Return the K heaviest entries of each of at most BLOCK_ROWS rows; weights are positive, ties go by column."""
    key_E = _sort_keys(entries)
    key_E.sort()
    row_E = (key_E >> np.uint64(WEIGHT_BITS + COLUMN_BITS)).astype(np.int64)
    size_R = np.bincount(row_E, minlength=rows)
    place_E = np.arange(len(row_E)) - np.repeat(np.cumsum(size_R) - size_R, size_R)
    kept_E = place_E < k
    key_E, row_E, place_E = key_E[kept_E], row_E[kept_E], place_E[kept_E]
    neighbour_RK, weight_RK = np.full((rows, k), -1, np.int32), np.zeros((rows, k), np.float32)
    neighbour_RK[row_E, place_E] = (key_E & np.uint64((1 << COLUMN_BITS) - 1)).astype(np.int32)
    lightness_E = (key_E >> np.uint64(COLUMN_BITS)) & np.uint64((1 << WEIGHT_BITS) - 1)
    weight_RK[row_E, place_E] = (((1 << WEIGHT_BITS) - 1) - lightness_E).astype(np.uint32).view(np.float32)
    return neighbour_RK, weight_RK


def _sort_keys(entries: Entries) -> npt.NDArray[np.uint64]:
    """Return one integer an entry that ascends by row, then falls by weight, then ascends by column."""
    bits_E = np.ascontiguousarray(entries.weight_E, np.float32).view(np.uint32)
    lightness_E = (np.uint32((1 << WEIGHT_BITS) - 1) - bits_E).astype(np.uint64)
    row_E, column_E = entries.row_E.astype(np.uint64), entries.column_E.astype(np.uint64)
    return (row_E << np.uint64(WEIGHT_BITS + COLUMN_BITS)) | (lightness_E << np.uint64(COLUMN_BITS)) | column_E
