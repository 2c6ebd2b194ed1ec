"""What the ranker's chances depend on over many lists: Shapley parts of candidates that shoppers were really shown.

Called by   services/training/multitask/step.py; importance_plots.py draws it
In          the ranker as it serves (ONNX file and calibration), lists of the log
Out         Importance: parts in logits of one candidate each of up to `limit` lists, drawn at random
Dimensions  X candidates, T tasks, G groups of features
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from services.training.examples.queries import QueryMaker, Question
from services.training.progress import Report, StepProgress
from shared.features.events import FloatArray
from shared.models.multitask_scorer import RankerScorer
from shared.models.recommender import Recommender

DIGITS = 4


@dataclass(frozen=True)
class Importance:
    """The parts, and the logits that they add up to."""

    tasks: tuple[str, ...]
    groups: tuple[str, ...]
    part_XTG: FloatArray
    logit_XT: FloatArray

    def mean_size_G(self, task: int) -> FloatArray:
        """Return the mean absolute part of each group."""
        size_G: FloatArray = np.abs(self.part_XTG[:, task]).mean(axis=0)
        return size_G

    def order(self, task: int) -> list[int]:
        """Return the groups, the most important first."""
        return [int(group) for group in np.argsort(-self.mean_size_G(task), kind="stable")]

    def to_json(self) -> dict[str, Any]:
        """Return what the report says: candidates explained, mean absolute part of each group by task."""
        by_task = {
            task: {
                self.groups[group]: round(float(self.mean_size_G(place)[group]), DIGITS) for group in self.order(place)
            }
            for place, task in enumerate(self.tasks)
        }
        return {"candidates": len(self.part_XTG), "mean_absolute_part": by_task}


def importance_of(
    scorer: RankerScorer,
    recommender: Recommender,
    maker: QueryMaker,
    questions: Sequence[Question],
    limit: int,
    seed: int,
    report: Report,
) -> Importance:
    """Explain one candidate of each of some lists, by the code that explains a served one."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(questions))[:limit])
    progress = StepProgress("ranker: importance", len(chosen), "candidates", report)
    parts, logits = [], []
    for number in chosen.tolist():
        scored = recommender.start(maker.query(questions[number]))
        candidates = recommender.candidates_for(scored, questions[number].target_row_T)
        explained = scorer.explain(scored, candidates, int(rng.integers(len(candidates.row_C))))
        groups = tuple(explained[scorer.tasks[0]].parts)
        parts.append([[explained[task].parts[group] for group in groups] for task in scorer.tasks])
        logits.append([explained[task].logit for task in scorer.tasks])
        progress.advance()
    return Importance(scorer.tasks, groups, np.array(parts, np.float32), np.array(logits, np.float32))
