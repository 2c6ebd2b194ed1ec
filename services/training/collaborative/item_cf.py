"""Item-CF: items are near when the same shoppers like them.

Called by   services/training/pipeline.py
Weight      shrunk cosine of two items' columns of the taste matrix: dot / (length × length + shrinkage), after each
            shopper's row is damped by its length, since a shopper of very many items says less about any two of them
Source      item-based top-N (Deshpande and Karypis 2004); shrinkage as in the evaluation of Dacrema et al. (2019)
"""

import numpy as np
import scipy.sparse as sp

from services.training.collaborative.top_k import top_k_product
from shared.features.events import FloatArray, LongArray
from shared.models.tables import ItemNeighbours


def fit_item_cf(taste_UV: sp.csr_array, neighbours: int, shrinkage: float, threads: int = 1) -> ItemNeighbours:
    """Return the nearest items of each item."""
    damped_UV = damp_long_rows(taste_UV)
    length_V = np.sqrt(damped_UV.power(2).sum(axis=0)).astype(np.float32)

    def cosine(row_E: LongArray, column_E: LongArray, product_E: FloatArray) -> FloatArray:
        return product_E / (length_V[row_E] * length_V[column_E] + np.float32(shrinkage))

    return top_k_product(sp.csr_array(damped_UV.T), damped_UV, neighbours, cosine, threads)


def damp_long_rows(taste_UV: sp.csr_array) -> sp.csr_array:
    """Divide each row by the square root of its length in items."""
    size_U = np.maximum(np.diff(taste_UV.indptr), 1)
    damped_E = taste_UV.data / np.repeat(np.sqrt(size_U), np.diff(taste_UV.indptr))
    return sp.csr_array((damped_E.astype(np.float32), taste_UV.indices, taste_UV.indptr), shape=taste_UV.shape)
