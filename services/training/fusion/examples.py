"""The candidates that serving would have ranked for past questions, and which of them were bought.

Called by   services/training/fusion/fit.py
Candidates  shared.models.recommender.Recommender.retrieve, the code that serves; a target that no source retrieved
            cannot be ranked and is left out, as in serving
Dimensions  Q questions, C candidates of all questions in a row, F columns of the fusion
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from services.training.asking import Asking
from services.training.errors import TooLittleDataError
from services.training.examples.queries import Question
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
    recommender: Recommender, query_of: Callable[[Question], Query], questions: Sequence[Question], asking: Asking
) -> FusionExamples:
    """Ask every question; those of which nothing bought was retrieved teach nothing and are left out."""

    def ask(question: Question) -> tuple[FloatArray, BoolArray] | None:
        candidates = recommender.retrieve(recommender.start(query_of(question)), asking.per_source)
        bought_C = np.isin(candidates.row_C, question.target_row_T)
        return (candidates.matrix_CF, bought_C) if bought_C.any() else None

    told = [answer for answer in asking.each("fusion: candidates", ask, questions) if answer is not None]
    if not told:
        raise TooLittleDataError("no source retrieved anything that was bought: nothing to fit the fusion on")
    matrices, bought = zip(*told, strict=True)
    sizes = [0, *map(len, bought)]
    return FusionExamples(np.cumsum(sizes), np.concatenate(matrices), np.concatenate(bought), recommender.fusion_names)
