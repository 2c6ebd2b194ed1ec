"""Shoppers × items as a sparse matrix: how much each shopper likes each item at the end of the log.

Called by   item_cf.py, user_cf.py, svd.py
Weight      the taste that serving computes (shared/models/sources/scores.py): event types, halved every 30 days before
            the shopper's newest event; with `half_life_days` another decay can be asked for
Dimensions  U shoppers, V items
"""

import numpy as np
import scipy.sparse as sp

from services.training.examples.sequences import Sequences
from shared.models.sources.scores import TYPE_WEIGHT_BY_CODE

DAY_MS = 86_400_000


def taste_matrix(sequences: Sequences, num_items: int, half_life_days: float) -> sp.csr_array:
    """Return taste_UV with sorted indices."""
    start_U1 = sequences.start_U1
    size_U = np.diff(start_U1)
    newest_U = np.where(size_U > 0, sequences.at_ms_E[np.maximum(start_U1[1:] - 1, 0)], 0) if len(sequences) else size_U
    age_E = (np.repeat(newest_U, size_U) - sequences.at_ms_E) / (half_life_days * DAY_MS)
    weight_E = (TYPE_WEIGHT_BY_CODE[sequences.type_E] * np.exp2(-age_E)).astype(np.float32)
    matrix_UV = sp.csr_array((weight_E, sequences.code_E.copy(), start_U1.copy()), shape=(len(size_U), num_items))
    matrix_UV.sum_duplicates()
    return matrix_UV
