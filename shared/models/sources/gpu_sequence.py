"""The sequence Transformer as a candidate source on a GPU: histories encoded and their best items found in one go.

Called by   services/ranking/gpu.py, where the service runs with AISLE_DEVICE=cuda
Scores      the list comes from the GPU; another item is scored when it is asked for, on the CPU
"""

from collections.abc import Sequence

from shared.features.events import FloatArray
from shared.models.gpu.sequence_engine import Answer, SequenceEngine
from shared.models.sources.indexed import IndexedScores
from shared.models.sources.scores import EMPTY_SCORES, SourceScores
from shared.models.tensors import History


class GpuSequenceSource:
    """Scores from an engine."""

    name = "sequence"

    def __init__(self, engine: SequenceEngine, item_VD: FloatArray) -> None:
        self._engine, self._item_VD, self.largest = engine, item_VD, engine.largest

    def scores(self, history: History) -> SourceScores:
        """Return the scores of one history; none for no history."""
        return self.scores_of([history])[0]

    def scores_of(self, histories: Sequence[History]) -> list[SourceScores]:
        """Return the scores of several histories, answered together."""
        known = [place for place, history in enumerate(histories) if len(history)]
        scores: list[SourceScores] = [EMPTY_SCORES] * len(histories)
        for place, found in zip(known, self._engine([histories[place] for place in known]), strict=True):
            scores[place] = self._scores(found)
        return scores

    def _scores(self, found: Answer) -> IndexedScores:
        return IndexedScores(self._engine, self._item_VD, found.state_D, (found.code_K, found.score_K))
