"""A source's raw scores as columns of the fusion: two for each source, comparable between requests.

Called by   shared/models/recommender.py, benchmarks/quality/fused_model.py
Columns     `<source>` is the score relative to the best item of this request, 0 to 1;
            `<source>_log` its logarithm, so that the fusion can multiply opinions as well as add them
Dimensions  Q queries, S sources, C candidates of all queries, F columns: two a source
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.sources.indexed import IndexedScores
from shared.models.sources.scores import EMPTY_SCORES, DenseScores, PositiveScores, SourceScores, SparseScores

COLUMNS_PER_SOURCE = 2
LOGIT_SOURCES = frozenset({"sequence"})
LOG_FLOOR = 1e-3
LOWEST_LOGIT = -20.0


def source_names(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the column names, in the order in which `fill_source_columns` fills them."""
    return tuple(name + suffix for name in sources for suffix in ("", "_log"))


def fill_source_columns(scores_of: Mapping[str, SourceScores], code_C: IntArray, column_CF: FloatArray) -> None:
    """Write two columns a source, in order; an item outside the vocabulary (code -1) or unknown has the least score."""
    fill_columns_of_several([scores_of], (0, len(code_C)), code_C, column_CF)


def fill_columns_of_several(
    scores_Q: Sequence[Mapping[str, SourceScores]], start_Q1: Sequence[int], code_C: IntArray, column_CF: FloatArray
) -> None:
    """Write the columns of the candidates of several queries; those of query q begin at `start_Q1[q]`."""
    known_C, place_C = code_C >= 0, np.maximum(code_C, 0)
    relative_SC = np.zeros((len(scores_Q[0]), len(code_C)), np.float32)
    for scores_of, ends in zip(scores_Q, pairwise(start_Q1), strict=True):
        part = slice(*ends)
        for place, (name, scores) in enumerate(scores_of.items()):
            if scores is not EMPTY_SCORES and name not in LOGIT_SOURCES:
                np.divide(scores.at(place_C[part]), max(_best(scores), 1e-9), out=relative_SC[place, part])
    np.maximum(relative_SC, 0, out=relative_SC)
    relative_SC *= known_C
    column_CF[:, 0::2] = relative_SC.T
    column_CF[:, 1::2] = np.log(relative_SC + np.float32(LOG_FLOOR)).T
    for scores_of, ends in zip(scores_Q, pairwise(start_Q1), strict=True):
        part = slice(*ends)
        for place, (name, scores) in enumerate(scores_of.items()):
            if name in LOGIT_SOURCES:
                _fill_logit_columns(scores, code_C[part], column_CF[part, COLUMNS_PER_SOURCE * place :])


def _fill_logit_columns(scores: SourceScores, code_C: IntArray, column_CF: FloatArray) -> None:
    """Of a source that scores in logits: the probability relative to the best item, and its logarithm."""
    if not isinstance(scores, DenseScores | IndexedScores):
        column_CF[:, :2] = 0, LOWEST_LOGIT
        return
    log_C = np.maximum(scores.at(np.maximum(code_C, 0)) - np.float32(_best(scores)), np.float32(LOWEST_LOGIT))
    log_C[code_C < 0] = LOWEST_LOGIT
    column_CF[:, 0] = np.exp(log_C)
    column_CF[:, 1] = log_C


def _best(scores: SourceScores) -> float:
    if isinstance(scores, IndexedScores):
        return scores.best
    if isinstance(scores, DenseScores | PositiveScores):
        return float(scores.score_V.max())
    if isinstance(scores, SparseScores) and len(scores.score_C):
        return float(scores.score_C.max())
    return 0.0
