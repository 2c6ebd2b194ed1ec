"""Train the multi-task ranker, stopped by a later slice of the log.

Called by   services/training/pipeline.py, benchmarks/ctr
In          training and validation examples, the fields, a MultitaskConfig
Out         FittedRanker: the averaged weights of the best epoch and the curve that chose it
Errors      DivergedError when the loss is no longer a number
Repeatable  the same examples, configuration and number of threads give the same weights
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from services.training.errors import TrainingError
from services.training.multitask.config import MultitaskConfig
from services.training.multitask.examples import RankerExamples, as_tensors, bins_of, thinned
from services.training.multitask.losses import WeightedLoss, log_loss_T
from shared.features.events import FloatArray
from shared.models.multitask import MultitaskRanker, TrainingBatch
from shared.models.multitask_inputs import RankerFields, RankerRows

PREDICTED_AT_ONCE = 2000
"""requests"""
MOST_DECAYED = 0.5
"""share of a weight that one step may take off: above 1 a short log of a large catalogue would make it grow"""
OnEpoch = Callable[[int, dict[str, float]], None]


class DivergedError(TrainingError):
    """The training of the ranker ran into numbers that are none."""


@dataclass(frozen=True)
class FittedRanker:
    """A trained ranker; its chances are those of the log, also after sampling."""

    model: MultitaskRanker
    curve: list[dict[str, float]]
    """validation log-loss of each task after each epoch"""
    best_epoch: int


def fit_ranker(
    train: RankerExamples,
    validation: RankerExamples,
    fields: RankerFields,
    config: MultitaskConfig,
    on_epoch: OnEpoch = lambda epoch, losses: None,
) -> FittedRanker:
    """Return the ranker of the epoch with the least weighted validation loss."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    if config.keep_negatives < 1:
        train = thinned(train, config.keep_negatives, rng)
    train.rows.check(fields)
    rows = train.rows
    model = MultitaskRanker(fields, config.shape, bins_of(rows.request_number_RF), bins_of(rows.item_number_NF))
    start_intercept(model, train)
    training = Training(model, train, config, rng)
    curve: list[dict[str, float]] = []
    best, best_loss = copy.deepcopy(training.average), math.inf
    for epoch in range(config.epochs):
        training.run_epoch()
        corrected = with_sampling_undone(training.average, config.keep_negatives)
        losses = losses_of(corrected, validation)
        curve.append(losses)
        on_epoch(epoch, losses)
        loss = sum(np.array(list(losses.values())) * config.weights_of(fields.tasks))
        if loss < best_loss:
            best, best_loss = corrected, loss
        elif epoch - argbest(curve, config, fields.tasks) >= config.patience:
            break
    return FittedRanker(best.eval(), curve, argbest(curve, config, fields.tasks) + 1)


class Training:
    """The weights, their running average and the optimiser."""

    def __init__(
        self, model: MultitaskRanker, train: RankerExamples, config: MultitaskConfig, rng: np.random.Generator
    ) -> None:
        self.model, self.train, self.config, self.rng = model, train, config, rng
        self.average = copy.deepcopy(model).eval()
        self.loss = WeightedLoss(config.weights_of(model.fields.tasks), config.uncertainty)
        self.optimiser = torch.optim.AdamW(self._parameters(), lr=config.learning_rate)
        self.requests = int(train.rows.request_of_N[-1]) + 1
        self.at_once = max(1, round(config.batch * self.requests / len(train)))
        steps = math.ceil(self.requests / self.at_once) * config.epochs
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=steps + 1, pct_start=0.1, cycle_momentum=False
        )
        self.steps = 0

    def _parameters(self) -> list[dict[str, Any]]:
        """Return the weights with their decay: the fewer examples a table's code has, the nearer to 0 it is kept.

        As a prior would. Adam's steps are as long for rare codes as for frequent ones, so without it a catalogue of
        rarely seen items is learnt by heart.
        """
        tables = [part.weight for part in self.model.modules() if isinstance(part, nn.Embedding)]
        chosen = {id(weight) for weight in tables}
        others = [weight for weight in (*self.model.parameters(), *self.loss.parameters()) if id(weight) not in chosen]
        crosses = self.model.crosses
        rows_read = {id(crosses.table.weight): max(1, len(crosses.request_P))}
        decayed: list[dict[str, Any]] = []
        for table in tables:
            examples_of_a_code = len(self.train) * rows_read.get(id(table), 1) / len(table)
            decay = min(self.config.embedding_decay / examples_of_a_code, MOST_DECAYED / self.config.learning_rate)
            decayed.append({"params": [table], "weight_decay": decay})
        return [{"params": others, "weight_decay": self.config.weight_decay}, *decayed]

    def run_epoch(self) -> None:
        """See every request once, in a new order."""
        self.model.train()
        order_R = self.rng.permutation(self.requests).astype(np.int32)
        for start in range(0, self.requests, self.at_once):
            some = self.train.of_requests(np.sort(order_R[start : start + self.at_once]))
            if len(some):
                self._step(forgetful(as_tensors(some.rows), self.config.forget), torch.from_numpy(some.label_NT))

    def _step(self, batch: TrainingBatch, label_NT: Tensor) -> None:
        loss = self.loss(log_loss_T(self.model(batch), label_NT.float()))
        if not torch.isfinite(loss):
            raise DivergedError("the loss of the ranker is not a number: use a smaller learning rate")
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.steps += 1
        keep = min(self.config.averaging, self.steps / (self.steps + 10))
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(weight, 1 - keep)


def predict(model: MultitaskRanker, rows: RankerRows) -> FloatArray:
    """Return p_NT of every candidate at the place where it was shown."""
    model.eval()
    requests = int(rows.request_of_N[-1]) + 1
    parts = []
    with torch.no_grad():
        for start in range(0, requests, PREDICTED_AT_ONCE):
            request_Q = np.arange(start, min(start + PREDICTED_AT_ONCE, requests), dtype=np.int32)
            some, _ = rows.of_requests(request_Q)
            parts.append(torch.exp(model(as_tensors(some))).numpy())
    return np.concatenate(parts)


def losses_of(model: MultitaskRanker, examples: RankerExamples) -> dict[str, float]:
    """Return the log-loss of each task."""
    log_p_NT = torch.log(torch.from_numpy(predict(model, examples.rows)).clamp(min=1e-12))
    loss_T = log_loss_T(log_p_NT, torch.from_numpy(examples.label_NT).float())
    return dict(zip(model.fields.tasks, loss_T.tolist(), strict=True))


def forgetful(batch: TrainingBatch, share: float) -> TrainingBatch:
    """Return the batch with some item and shopper categories unknown."""
    if share <= 0:
        return batch
    categories = {}
    for name in ("request_category_RG", "item_category_NG"):
        code = getattr(batch, name)
        categories[name] = code * (torch.rand(code.shape) >= share)
    return TrainingBatch(**{**vars(batch), **categories})


def start_intercept(model: MultitaskRanker, train: RankerExamples) -> None:
    """Begin at the observed rate of each step among those who did the one before."""
    counts = [len(train), *train.label_NT.sum(axis=0).tolist()]
    rates = [min(max(later / max(earlier, 1), 1e-6), 1 - 1e-6) for earlier, later in pairwise(counts)]
    with torch.no_grad():
        model.intercept_T.copy_(torch.tensor([math.log(rate / (1 - rate)) for rate in rates]))


def with_sampling_undone(model: MultitaskRanker, keep: float) -> MultitaskRanker:
    """Return a copy whose first step is that of the whole log: sampling raised its odds by 1 / keep."""
    corrected = copy.deepcopy(model)
    with torch.no_grad():
        corrected.intercept_T[0] += math.log(keep)
    return corrected


def argbest(curve: list[dict[str, float]], config: MultitaskConfig, tasks: tuple[str, ...]) -> int:
    """Return the place of the epoch with the least weighted loss."""
    weight_T = np.array(config.weights_of(tasks))
    return int(np.argmin([np.dot(weight_T, list(losses.values())) for losses in curve]))
