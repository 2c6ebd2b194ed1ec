"""A source's raw scores as columns of the fusion: two for each source, comparable between requests.

Called by   shared/models/recommender.py
Columns     `<source>` is the score relative to the best item of this request, 0 to 1;
            `<source>_log` its logarithm, so that the fusion can multiply opinions as well as add them
"""

from collections.abc import Sequence

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.sources.scores import DenseScores, SourceScores, SparseScores

COLUMNS_PER_SOURCE = 2
LOG_FLOOR = 1e-3
LOWEST_LOGIT = -20.0


def source_names(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the column names, in the order in which `source_columns` fills them."""
    return tuple(name + suffix for name in sources for suffix in ("", "_log"))


def source_columns(source: str, scores: SourceScores, code_C: IntArray) -> FloatArray:
    """Return [C, 2]; an item outside the vocabulary (code -1) or unknown to the source has the least score."""
    raw_C = np.where(code_C >= 0, scores.at(np.maximum(code_C, 0)), 0)
    if source == "sequence":
        return _logit_columns(raw_C, scores, code_C)
    relative_C = np.maximum(raw_C, 0) / max(_best(scores), 1e-9)
    return np.stack([relative_C, np.log(relative_C + LOG_FLOOR)], axis=1).astype(np.float32)


def _logit_columns(raw_C: FloatArray, scores: SourceScores, code_C: IntArray) -> FloatArray:
    """The encoder scores in logits: the probability relative to the best item, and its logarithm."""
    if not isinstance(scores, DenseScores):
        return np.stack([np.zeros(len(raw_C)), np.full(len(raw_C), LOWEST_LOGIT)], axis=1).astype(np.float32)
    log_C = np.where(code_C >= 0, np.maximum(raw_C - scores.score_V.max(), LOWEST_LOGIT), LOWEST_LOGIT)
    return np.stack([np.exp(log_C), log_C], axis=1).astype(np.float32)


def _best(scores: SourceScores) -> float:
    if isinstance(scores, DenseScores):
        return float(scores.score_V.max())
    if isinstance(scores, SparseScores) and len(scores.score_C):
        return float(scores.score_C.max())
    return 0.0
