"""Examples of the ranker: rows with their labels, and the bins of their numbers.

Called by   services/training/multitask/fit.py, benchmarks/ctr
Dimensions  as in shared/models/multitask_inputs.py
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from services.training.multitask.labels import LabelArray
from shared.features.events import FloatArray, IntArray
from shared.models.multitask import TrainingBatch
from shared.models.multitask_inputs import RankerRows
from shared.models.multitask_layers import Bins

MAX_BINS = 12
SAMPLED_ROWS = 200_000
NARROWEST_BIN, NARROWEST_SHARE = 1e-30, 1e-6
"""a number is divided by the width of its bins: by less than this, or this share of the edges' range, float32 ends in
infinity, or in noise"""


@dataclass(frozen=True)
class RankerExamples:
    """Candidates that were shown, request by request, with what became of them."""

    rows: RankerRows
    label_NT: LabelArray

    def __len__(self) -> int:
        return len(self.rows)

    def of_requests(self, request_Q: IntArray) -> "RankerExamples":
        """Return the examples of some requests, ascending."""
        rows, place_M = self.rows.of_requests(request_Q)
        return RankerExamples(rows, self.label_NT[place_M])


def thinned(examples: RankerExamples, keep: float, rng: np.random.Generator) -> RankerExamples:
    """Return all examples with the first step, and a share of the others: sampling that export.py takes back."""
    kept_N = examples.label_NT[:, 0] | (rng.random(len(examples)) < keep)
    place_M = np.flatnonzero(kept_N).astype(np.int32)
    return RankerExamples(examples.rows.at(place_M), examples.label_NT[place_M])


def bins_of(number_XF: FloatArray, most: int = MAX_BINS) -> Bins:
    """Return the bins of numbers: between quantiles, none for a number that never changes."""
    step = max(1, len(number_XF) // SAMPLED_ROWS)
    of, low, width = [], [], []
    for place in range(number_XF.shape[1]):
        edges = _edges(number_XF[::step, place], most)
        for lower, upper in pairwise(edges.tolist()):
            of.append(place)
            low.append(lower)
            width.append(upper - lower)
    return Bins(torch.tensor(of, dtype=torch.int64), torch.tensor(low), torch.tensor(width))


def _edges(number_X: FloatArray, most: int) -> FloatArray:
    """Return quantiles of the numbers and, as often, of those that differ from the usual one."""
    if not len(number_X):
        return np.empty(0, np.float32)
    shares = np.linspace(0, 1, most // 2 + 1)
    value_K, count_K = np.unique(number_X, return_counts=True)
    unusual = number_X[number_X != value_K[np.argmax(count_K)]]
    edges = np.quantile(number_X, shares)
    edges = np.unique(np.append(edges, np.quantile(unusual, shares) if len(unusual) else []).astype(np.float32))
    return edges[np.diff(edges, prepend=-np.inf) > max(NARROWEST_BIN, NARROWEST_SHARE * float(np.ptp(edges)))]


def as_tensors(rows: RankerRows) -> TrainingBatch:
    """Return the rows as the model reads them."""
    return TrainingBatch(
        torch.from_numpy(rows.request_number_RF),
        torch.from_numpy(rows.request_category_RG.astype(np.int64)),
        torch.from_numpy(rows.item_number_NF),
        torch.from_numpy(rows.item_category_NG.astype(np.int64)),
        torch.from_numpy(rows.history_category_RLH.astype(np.int64)),
        torch.from_numpy(rows.history_type_RL.astype(np.int64)),
        torch.from_numpy(rows.history_age_s_RL),
        torch.from_numpy(rows.request_of_N.astype(np.int64)),
        torch.from_numpy(rows.position_N.astype(np.int64)),
    )
