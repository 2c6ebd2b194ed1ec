"""Everything that decides the result of the ranker's training, in one frozen object.

Called by   services/training/config.py, benchmarks/ctr; services/training/multitask reads it
Defaults    chosen on the validation slices of the simulated shop and RetailRocket (benchmarks/ctr), never on a test
Errors      ValueError naming the first setting that cannot be trained with
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shared.models.multitask_layers import RankerShape


@dataclass(frozen=True)
class MultitaskConfig:
    """One training of the ranker."""

    shape: RankerShape = field(default_factory=RankerShape)
    epochs: int = 6
    patience: int = 2
    """epochs without a better validation before the training ends"""
    batch: int = 2048
    """candidates, about"""
    learning_rate: float = 3e-3
    weight_decay: float = 1e-5
    embedding_decay: float = 200.0
    """of a table's rows, over the examples that one of its codes has: only rarely seen codes are held back"""
    forget: float = 0.05
    """share of known category codes that training takes as unknown, so that unknown ones mean something"""
    averaging: float = 0.995
    """of the weights, from step to step; the average is what is kept"""
    task_weights: Mapping[str, float] = field(default_factory=lambda: {"click": 1.0, "cart": 1.0, "purchase": 1.0})
    uncertainty: bool = False
    """let the training find the weights of the tasks"""
    keep_negatives: float = 1.0
    """share of the candidates without any step that training reads; the intercept is corrected for the others"""
    lists: int = 20_000
    """most lists that the pipeline's step reads of a period"""
    explained: int = 200
    """candidates of later lists whose Shapley parts make the report's importance; some milliseconds each"""
    calibration: Literal["platt", "isotonic"] = "platt"
    seed: int = 7
    threads: int = 0
    """0: as many as torch likes. Does not change the meaning, may change the last digits"""

    def __post_init__(self) -> None:
        if not 0 < self.keep_negatives <= 1:
            raise ValueError("keep_negatives must be above 0 and at most 1")
        for task, weight in self.task_weights.items():
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"the weight of task {task} must be a number above 0")

    def weights_of(self, tasks: tuple[str, ...]) -> list[float]:
        """Return the weight of each task, 1 where none is named."""
        return [self.task_weights.get(task, 1.0) for task in tasks]
