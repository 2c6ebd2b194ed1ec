"""A source's raw scores as columns of the fusion: two for each source, comparable between requests.

Called by   shared/models/recommender.py
Columns     `<source>` is the score relative to the best item of this request, 0 to 1;
            `<source>_log` its logarithm, so that the fusion can multiply opinions as well as add them
"""

from collections.abc import Sequence

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.sources.scores import DenseScores, PositiveScores, SourceScores, SparseScores

COLUMNS_PER_SOURCE = 2
LOG_FLOOR = 1e-3
LOWEST_LOGIT = -20.0


def source_names(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the column names, in the order in which `fill_source_columns` fills them."""
    return tuple(name + suffix for name in sources for suffix in ("", "_log"))


def fill_source_columns(source: str, scores: SourceScores, code_C: IntArray, column_C2: FloatArray) -> None:
    """Write a source's two columns; an item outside the vocabulary (code -1) or unknown to it has the least score."""
    raw_C = scores.at(np.maximum(code_C, 0))
    if source == "sequence":
        _fill_logit_columns(raw_C, scores, code_C, column_C2)
        return
    relative_C = np.maximum(raw_C, 0) / max(_best(scores), 1e-9)
    relative_C[code_C < 0] = 0
    column_C2[:, 0] = relative_C
    column_C2[:, 1] = np.log(relative_C + np.float32(LOG_FLOOR))


def _fill_logit_columns(raw_C: FloatArray, scores: SourceScores, code_C: IntArray, column_C2: FloatArray) -> None:
    """The encoder scores in logits: the probability relative to the best item, and its logarithm."""
    if not isinstance(scores, DenseScores):
        column_C2[:] = 0, LOWEST_LOGIT
        return
    log_C = np.maximum(raw_C - scores.score_V.max(), np.float32(LOWEST_LOGIT))
    log_C[code_C < 0] = LOWEST_LOGIT
    column_C2[:, 0] = np.exp(log_C)
    column_C2[:, 1] = log_C


def _best(scores: SourceScores) -> float:
    if isinstance(scores, DenseScores | PositiveScores):
        return float(scores.score_V.max())
    if isinstance(scores, SparseScores) and len(scores.score_C):
        return float(scores.score_C.max())
    return 0.0
