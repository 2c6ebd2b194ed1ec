"""The sequence Transformer as a candidate source: encode the history once, score items by a dot product.

Called by   shared/models/recommender.py
Engine      ONNX Runtime on one thread; the item table stays outside the graph, memory-mapped, and is read twice: for
            the vectors of the history and for the scores
Large       where the bundle has an index, it finds the best items and only items that are asked for are scored
"""

from collections.abc import Sequence

import numpy as np
import onnxruntime

from shared.features.events import FloatArray
from shared.models.retrieval_index import RetrievalIndex
from shared.models.sources.encoded_histories import EncodedHistories
from shared.models.sources.indexed import IndexedScores
from shared.models.sources.scores import EMPTY_SCORES, DenseScores, SourceScores
from shared.models.tensors import History, collate


class SequenceSource:
    """Scores from the exported encoder."""

    name = "sequence"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        item_VD: FloatArray,
        max_length: int,
        index: RetrievalIndex | None = None,
    ) -> None:
        """Without an index every item is scored."""
        self._session, self._item_VD, self._max_length, self._index = session, item_VD, max_length, index
        self._encoded = EncodedHistories(self.encode)

    def scores(self, history: History) -> SourceScores:
        """Return a score for every item, each when it is asked for where there is an index; none for no history."""
        return self.scores_of([history])[0]

    def scores_of(self, histories: Sequence[History]) -> list[SourceScores]:
        """Return the scores of several histories, encoded in one run and scored in one product."""
        scores: list[SourceScores] = [EMPTY_SCORES] * len(histories)
        known = [place for place, history in enumerate(histories) if len(history)]
        if not known:
            return scores
        state_BD = self._encoded.states([histories[place].newest(self._max_length) for place in known])
        for place, found in zip(known, self._found(state_BD), strict=True):
            scores[place] = found
        return scores

    def _found(self, state_BD: FloatArray) -> list[SourceScores]:
        if self._index is not None:
            return [IndexedScores(self._index, self._index.item_VD, state_D) for state_D in state_BD]
        if len(state_BD) == 1:  # a product of a matrix and a vector reads the table as it lies
            return [DenseScores(self._item_VD @ state_BD[0])]
        return [DenseScores(score_V) for score_V in state_BD @ self._item_VD.T]

    def encode(self, histories: list[History]) -> FloatArray:
        """Return state_BD of each history; none may be empty."""
        batch = collate(histories, self._max_length)
        feeds = {
            "vector_BLD": self._item_VD[batch.code_BL],
            "type_BL": batch.type_BL,
            "age_s_BL": batch.age_s_BL,
            "mask_BL": batch.mask_BL,
        }
        (state_BD,) = self._session.run(None, feeds)
        return np.asarray(state_BD, np.float32)


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """Open an encoder on one thread: more raised the p99."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
