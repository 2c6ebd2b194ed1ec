"""The candidates of a request that may be shown, and what is done with candidates on the way to a list.

Called by   services/ranking/rank.py, services/ranking/explain.py, benchmarks/rerank
Dimensions  N catalogue rows, C candidates, F fusion columns, K places
"""

from dataclasses import dataclass, field, replace

import numpy as np

from services.ranking.rerank.rerank import FEATURE_NOT_FINITE
from shared.features.events import IntArray
from shared.models.recommender import Candidates, Recommender, Scored
from shared.models.tensors import BoolArray


@dataclass(frozen=True)
class Choice:
    """The candidates that may be shown, and how many there were before the rules."""

    candidates: Candidates
    retrieved: int
    removed: dict[str, int]
    first_showings: IntArray = field(default_factory=lambda: np.empty(0, np.int32))
    """new rows among the candidates whose first showing is due"""


def most_popular(recommender: Recommender, scored: Scored, allowed_N: BoolArray, limit: int) -> Candidates:
    """Return the allowed rows that sell best; items that never sold come last, the newest of them first."""
    row_C = np.flatnonzero(allowed_N).astype(np.int32)
    code_C = recommender.rows.code_of_row_N[row_C]
    sales_C = np.where(code_C >= 0, recommender.contents.popularity.weight_V[np.maximum(code_C, 0)], -1.0)
    order_C = np.lexsort((row_C, -recommender.catalogue.created_ms_N[row_C], -sales_C))
    return recommender.candidates_for(scored, row_C[order_C[:limit]])


def with_finite_features(recommender: Recommender, scored: Scored, choice: Choice) -> tuple[Choice, tuple[str, ...]]:
    """Return the choice with what is no number set to what is usual, and a word about it if that was needed."""
    matrix_CF = choice.candidates.matrix_CF
    # One sum over all tells whether to look closer.
    if np.isfinite(matrix_CF.sum()):
        return choice, ()
    usual_CF = np.where(np.isfinite(matrix_CF), matrix_CF, recommender.fusion_for(scored).mean_F)
    return replace(choice, candidates=replace(choice.candidates, matrix_CF=usual_CF)), (FEATURE_NOT_FINITE,)


def take(candidates: Candidates, place_K: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Candidates:
    """Return some of the candidates, in the order of their places."""
    return Candidates(candidates.row_C[place_K], candidates.matrix_CF[place_K], candidates.retrieved_CS[place_K])


def join(some: Candidates, more: Candidates) -> Candidates:
    """Return the candidates of both, ascending by row; `more` wins where both have a row."""
    fresh = np.flatnonzero(~np.isin(some.row_C, more.row_C))
    row_C = np.concatenate([some.row_C[fresh], more.row_C])
    order_C = np.argsort(row_C, kind="stable")
    return Candidates(
        row_C[order_C],
        np.concatenate([some.matrix_CF[fresh], more.matrix_CF])[order_C],
        np.concatenate([some.retrieved_CS[fresh], more.retrieved_CS])[order_C],
    )
