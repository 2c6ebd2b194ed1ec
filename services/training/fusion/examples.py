"""The candidates that serving would have ranked for past questions, and which of them were bought.

Called by   services/training/fusion/fit.py
Candidates  shared.models.recommender.Recommender.retrieve, the code that serves; a target that no source retrieved
            cannot be ranked and is left out, as in serving
Dimensions  Q questions, C candidates of all questions in a row, F columns of the fusion
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from services.training.errors import TooLittleDataError
from services.training.examples.queries import Question
from services.training.progress import Report, StepProgress, quiet
from shared.features.candidates import Query
from shared.features.events import FloatArray, LongArray
from shared.models.recommender import Recommender
from shared.models.tensors import BoolArray


@dataclass(frozen=True)
class FusionExamples:
    """Question q has the candidates start_Q1[q] to start_Q1[q + 1], at least one of them bought."""

    start_Q1: LongArray
    matrix_CF: FloatArray
    bought_C: BoolArray
    feature_names: tuple[str, ...]

    @property
    def num_questions(self) -> int:
        """Number of questions."""
        return len(self.start_Q1) - 1


def collect_examples(
    recommender: Recommender,
    ask: Callable[[Question], Query],
    questions: Sequence[Question],
    per_source: int,
    report: Report = quiet,
) -> FusionExamples:
    """Ask every question; those of which nothing bought was retrieved teach nothing and are left out."""
    progress = StepProgress("fusion: candidates", len(questions), "questions", report)
    matrices, bought, sizes = [], [], [0]
    for question in questions:
        candidates = recommender.retrieve(recommender.start(ask(question)), per_source)
        bought_C = np.isin(candidates.row_C, question.target_row_T)
        if bought_C.any():
            matrices.append(candidates.matrix_CF)
            bought.append(bought_C)
            sizes.append(len(bought_C))
        progress.advance()
    if not matrices:
        raise TooLittleDataError("no source retrieved anything that was bought: nothing to fit the fusion on")
    return FusionExamples(np.cumsum(sizes), np.concatenate(matrices), np.concatenate(bought), recommender.fusion_names)
