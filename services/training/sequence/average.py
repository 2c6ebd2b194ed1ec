"""A running average of the weights: what is validated and kept, while training goes on from the newest weights.

Called by   services/training/sequence/trainer.py, after every step
Why         the average over the last steps lies nearer to the middle of the valley that they wander in, so that a high
            learning rate can be kept and the score does not hop from epoch to epoch
Source      exponential moving average (Polyak and Juditsky 1992), with a short memory in the first steps
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """The average of a model's weights; `decay` 0 keeps the newest weights alone."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._weights = list(model.parameters())
        self._averages = [weight.detach().clone() for weight in self._weights] if decay else []

    def add(self) -> None:
        """Take the weights after a step into the average."""
        self.steps += 1
        if self.decay:
            # Of the first steps, take a mean: there, an average with a long memory would be mostly the start.
            decay = min(self.decay, self.steps / (self.steps + 10))
            torch._foreach_lerp_(self._averages, [weight.detach() for weight in self._weights], 1 - decay)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While inside, the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for weight, average in zip(self._weights, self._averages, strict=False):
            weight.data, average.data = average.data, weight.data

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs."""
        return {"steps": self.steps, "averages": copy.copy(self._averages)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.steps = state["steps"]
        for average, stored in zip(self._averages, state["averages"], strict=True):
            average.copy_(stored)
