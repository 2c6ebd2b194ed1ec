"""User-CF: a sample of histories, without a trace of whose they are, and the index that finds them by item.

Called by   services/training/pipeline.py
Erasure     rows are a random sample in random order, hold no id and no time; a deletion needs no new bundle
Dimensions  S sample histories, V items, E entries
"""

import numpy as np
import scipy.sparse as sp

from shared.models.tables import SampleHistories

MAX_HISTORIES = 100_000
MAX_ITEMS = 300
"""heaviest items kept of a history"""


def fit_user_cf(taste_UV: sp.csr_array, seed: int, max_histories: int = MAX_HISTORIES) -> SampleHistories:
    """Return the sample, rows of unit length."""
    random = np.random.default_rng(seed)
    known_U = np.flatnonzero(np.diff(taste_UV.indptr) > 0)
    chosen_S = random.permutation(known_U)[:max_histories]
    sample_SV = _unit_rows(_heaviest_items(sp.csr_array(taste_UV[chosen_S])))
    postings_VS = sp.csr_array(sample_SV.T)
    return SampleHistories(
        sample_SV.indptr.astype(np.int64),
        sample_SV.indices.astype(np.int32),
        sample_SV.data.astype(np.float32),
        postings_VS.indptr.astype(np.int64),
        postings_VS.indices.astype(np.int32),
        postings_VS.data.astype(np.float32),
    )


def _heaviest_items(sample_SV: sp.csr_array) -> sp.csr_array:
    """Keep the MAX_ITEMS heaviest items of each row; ties by item. Only the rows that are longer are sorted."""
    size_S = np.diff(sample_SV.indptr)
    row_E = np.repeat(np.arange(sample_SV.shape[0]), size_S)
    long_E = np.flatnonzero(size_S[row_E] > MAX_ITEMS)
    order = long_E[np.lexsort((sample_SV.indices[long_E], -sample_SV.data[long_E], row_E[long_E]))]
    size_L = size_S[size_S > MAX_ITEMS]
    place_E = np.arange(len(order)) - np.repeat(np.cumsum(size_L) - size_L, size_L)
    kept_E = np.ones(len(row_E), np.bool_)
    kept_E[order[place_E >= MAX_ITEMS]] = False
    entries = (sample_SV.data[kept_E], (row_E[kept_E], sample_SV.indices[kept_E]))
    return sp.csr_array(entries, shape=sample_SV.shape)


def _unit_rows(sample_SV: sp.csr_array) -> sp.csr_array:
    length_S = np.sqrt(sample_SV.power(2).sum(axis=1))
    return sp.csr_array(sp.diags_array((1 / length_S).astype(np.float32)) @ sample_SV)
