"""iALS: factors of shoppers and items so that a product is near 1 where there were events and near 0 elsewhere.

Called by   benchmarks/quality (the row ials)
Loss        sum over events of weight × (1 - x·y)² + `unobserved` × sum over all pairs of (x·y)²
            + `penalty` × sum over shoppers and items of (events + unobserved × size of the other side)^power × |x|²
Fit         start at the singular vectors, then sweeps: each side solved given the other by a few steps of conjugate
            gradients, started where the last sweep ended. A sweep first turns the factors so that the gram matrix of
            the other side is diagonal: then the diagonal is a good preconditioner, and two steps are enough.
            Rows of like length are solved together, padded, in pieces that stay in the processor's cache
Source      Hu, Koren and Volinsky (2008); penalty by frequency: Rendle et al. (2021); conjugate gradients: Takács et
            al. (2011)
Dimensions  U shoppers, V items, F factors, R rows of one side, B rows of a piece, L padded length
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from services.training.collaborative.svd import fit_svd
from shared.features.events import FloatArray, IntArray, LongArray
from shared.models.tables import FoldInFactors

PIECE_ENTRIES = 8192
"""padded entries of a piece: 2 MB at 64 factors"""
MAX_PENALTIES = 10_000


@dataclass(frozen=True)
class IalsConfig:
    """What is fitted, and for how long."""

    factors: int = 64
    unobserved: float = 0.1
    penalty: float = 0.003
    power: float = 1.0
    sweeps: int = 4
    steps: int = 2
    """of conjugate gradients for each row of a sweep"""

    def penalty_of(self, count_R: LongArray, others: int) -> FloatArray:
        """Return the penalty of rows with so many events, given the size of the other side."""
        size_R = count_R + self.unobserved * others
        return (self.penalty * size_R**self.power).astype(np.float32)


def fit_ials(taste_UV: sp.csr_array, config: IalsConfig, seed: int, threads: int = 1) -> FoldInFactors:
    """Return item factors that a history folds into."""
    taste_VU = sp.csr_array(taste_UV.T)
    shopper_UF, item_VF = _start(taste_UV, config, seed)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(config.sweeps):
            shopper_UF = solve_side(taste_UV, item_VF, shopper_UF, config, pool)
            item_VF = solve_side(taste_VU, shopper_UF, item_VF, config, pool)
    gram_FF = np.float32(config.unobserved) * (item_VF.T @ item_VF)
    most = min(MAX_PENALTIES, int(np.diff(taste_UV.indptr).max(initial=0)))
    return FoldInFactors(item_VF, gram_FF, config.penalty_of(np.arange(most + 1), len(item_VF)))


def solve_side(
    taste_RO: sp.csr_array, other_OF: FloatArray, start_RF: FloatArray, config: IalsConfig, pool: ThreadPoolExecutor
) -> FloatArray:
    """Return the factors of one side given those of the other."""
    spectrum_F, turn_FF = np.linalg.eigh(config.unobserved * (other_OF.T @ other_OF))
    other_OF, solved_RF = other_OF @ turn_FF, start_RF @ turn_FF
    count_R = np.diff(taste_RO.indptr).astype(np.int64)
    ridge_R = config.penalty_of(count_R, len(other_OF))

    def solve(row_B: LongArray) -> None:
        code_BL, weight_BL = _padded(taste_RO, row_B)
        root_BL = np.sqrt(weight_BL)
        event_BLF = other_OF[code_BL] * root_BL[:, :, None]
        ridge_BF = np.maximum(spectrum_F, 0) + ridge_R[row_B][:, None]
        solved_RF[row_B] = _conjugate_gradients(event_BLF, root_BL, ridge_BF, solved_RF[row_B], config.steps)

    list(pool.map(solve, _pieces(count_R)))
    turned_back_RF: FloatArray = solved_RF @ turn_FF.T
    return turned_back_RF


def _conjugate_gradients(
    event_BLF: FloatArray, root_BL: FloatArray, ridge_BF: FloatArray, start_BF: FloatArray, steps: int
) -> FloatArray:
    """Return x after some steps towards (ridge + event' event) x = event' root, for each row of a piece."""
    event_BFL = event_BLF.transpose(0, 2, 1)
    scale_BF = 1 / (ridge_BF + (event_BLF**2).sum(axis=1))
    x_BF = start_BF
    # The right side and the product with the start in one pass: event' (root - event x) - ridge x.
    gap_BL = root_BL - _product(event_BLF, x_BF)
    rest_BF = _product(event_BFL, gap_BL) - ridge_BF * x_BF
    along_BF = scale_BF * rest_BF
    power_B = (rest_BF * along_BF).sum(axis=1, keepdims=True)
    for _ in range(steps):
        image_BF = ridge_BF * along_BF + _product(event_BFL, _product(event_BLF, along_BF))
        length_B = power_B / np.maximum((along_BF * image_BF).sum(axis=1, keepdims=True), 1e-30)
        x_BF = x_BF + length_B * along_BF
        rest_BF = rest_BF - length_B * image_BF
        scaled_BF = scale_BF * rest_BF
        next_B = (rest_BF * scaled_BF).sum(axis=1, keepdims=True)
        along_BF = scaled_BF + next_B / np.maximum(power_B, 1e-30) * along_BF
        power_B = next_B
    return x_BF


def _product(matrix_BXY: FloatArray, vector_BY: FloatArray) -> FloatArray:
    product_BX: FloatArray = np.matmul(matrix_BXY, vector_BY[:, :, None])[:, :, 0]
    return product_BX


def _start(taste_UV: sp.csr_array, config: IalsConfig, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return the singular vectors, the singular values shared between the two sides."""
    right_VF = fit_svd(taste_UV, config.factors, 0.0, seed).factor_VF
    left_UF = taste_UV @ right_VF
    root_F = np.sqrt(np.maximum(np.linalg.norm(left_UF, axis=0), 1e-9)).astype(np.float32)
    return (left_UF / root_F).astype(np.float32), right_VF * root_F


def _pieces(count_R: LongArray) -> Iterator[LongArray]:
    """Return the rows with events in pieces of like length, longest first."""
    order_R = np.argsort(-count_R, kind="stable")
    order_R = order_R[count_R[order_R] > 0]
    first = 0
    while first < len(order_R):
        rows = max(1, PIECE_ENTRIES // int(count_R[order_R[first]]))
        yield order_R[first : first + rows]
        first += rows


def _padded(taste_RO: sp.csr_array, row_B: LongArray) -> tuple[IntArray, FloatArray]:
    """Return codes and weights of some rows; padding is code 0 with weight 0."""
    first_B, count_B = taste_RO.indptr[row_B], np.diff(taste_RO.indptr)[row_B]
    inside_BL = np.arange(int(count_B.max())) < count_B[:, None]
    entry_BL = np.where(inside_BL, first_B[:, None] + np.arange(inside_BL.shape[1]), 0)
    return taste_RO.indices[entry_BL], np.where(inside_BL, taste_RO.data[entry_BL], np.float32(0))
