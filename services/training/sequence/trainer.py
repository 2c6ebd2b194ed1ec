"""Train the sequence Transformer: epochs of batches, a validation score after each, the best weights kept.

Called by   services/training/sequence/fit.py
Schedule    AdamW, learning rate rising over the first `warm_up` of all steps, then falling along a cosine
GPU         bfloat16 where it is safe, and compiled kernels
Repeatable  windows, targets, negatives and dropout of an epoch come from (seed, epoch) alone, so a run that was
            interrupted goes on from its checkpoint as if nothing had happened, and two runs give equal weights
Errors      DivergedError when the loss is not finite
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from services.training.errors import DivergedError
from services.training.examples.negative_sampling import AllItems, NegativeSampler
from services.training.examples.sequences import Sequences, TrainingBatch, batch_bounds, cut_windows, make_batch
from services.training.progress import Report, StepProgress, quiet
from services.training.sequence.average import WeightAverage
from services.training.sequence.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from services.training.sequence.config import SequenceConfig
from services.training.sequence.distributed import Team
from services.training.sequence.model import SequenceModel
from shared.features.events import LongArray

Validate = Callable[[SequenceModel], float]
LOWEST_RATE = 0.02
"""share of the learning rate at which the cosine ends"""


@dataclass(frozen=True)
class TrainingTask:
    """What to train on, apart from how."""

    sequences: Sequences
    count_V: LongArray
    """positive events of each item, for the negatives"""
    fingerprint: str
    """names data and configuration: a checkpoint of another task is not taken"""
    from_ms: int | None = None
    """only windows with an answer at least that new"""


@dataclass(frozen=True)
class Surroundings:
    """Where a run happens, which does not change its result."""

    team: Team = field(default_factory=Team)
    checkpoints: Path | None = None
    """folder to keep the state in after each epoch, and to go on from"""
    report: Report = quiet
    step_name: str = "sequence"


@dataclass(frozen=True)
class EpochResult:
    """What one epoch came to."""

    loss: float
    """mean over the queries of all processes"""
    validation: float | None
    """None when nothing is held out: then the newest weights are the best"""


@dataclass
class TrainingState:
    """What changes from epoch to epoch."""

    epochs_done: int = 0
    losses: list[float] = field(default_factory=list)
    best_score: float = -math.inf
    best_model: dict[str, Any] | None = None
    epochs_without_gain: int = 0


class SequenceTrainer:
    """One run. All processes of a team make the same object and call `run` together."""

    def __init__(
        self,
        model: SequenceModel,
        task: TrainingTask,
        config: SequenceConfig,
        validate: Validate | None,
        surroundings: Surroundings = Surroundings(),
    ) -> None:
        self.model, self.task, self.config, self.validate = model, task, config, validate
        self.team, self.checkpoints = surroundings.team, surroundings.checkpoints
        self.report, self.step_name = surroundings.report, surroundings.step_name
        self.on_gpu = config.device == "cuda"
        model.to(config.device)
        if self.on_gpu:
            model.compile_encoder()
        self.sampler = make_sampler(task.count_V, config)
        self.optimiser = make_optimiser(model, config)
        self.average = WeightAverage(model, config.average)
        self._shared: nn.Module = model
        self.state = TrainingState()

    def run(self) -> TrainingState:
        """Train to the end, or until validation has not improved for `patience` epochs; load the best weights.

        The checkpoint stays, so that a run interrupted later need not train again; whoever publishes removes it.
        """
        self._resume()
        self._shared = self.team.wrap(self.model)
        try:
            while self.state.epochs_done < self.config.epochs and self.state.epochs_without_gain < self.config.patience:
                self._run_epoch(self.state.epochs_done)
                self._save()
        finally:
            self._shared = self.model  # the wrapper must not outlive its team
        if self.state.best_model is not None:
            self.model.load_state_dict(self.state.best_model)
        return self.state

    def _run_epoch(self, epoch: int) -> None:
        """Train on every window once, then ask the validation questions."""
        random = np.random.default_rng([self.config.seed, epoch])
        torch.manual_seed(self.config.seed * 1_000_003 + epoch * 101 + self.team.rank)
        windows = cut_windows(self.task.sequences, self.config.encoder.max_length, random, self.task.from_ms)
        batches = batch_bounds(windows, self.config.tokens_per_batch, random)
        # One more than the windows: the epoch is done when it is validated.
        progress = StepProgress(f"{self.step_name} epoch {epoch + 1}", len(windows) + 1, "windows", self.report)
        self.model.train()
        loss_sum, queries = 0.0, 0
        for place, window_B2 in enumerate(batches):
            batch = make_batch(self.task.sequences, window_B2, self.config.max_targets, random)
            self._set_rate((epoch + place / len(batches)) / self.config.epochs)
            loss_sum += self._step(batch, random)
            queries += len(batch.row_Q)
            progress.advance(len(window_B2), f"loss {loss_sum / max(queries, 1):.3f}")
        loss = self.team.total([loss_sum])[0] / max(queries, 1)
        with self.average.shown():
            score = self.validate(self.model) if self.validate else None
            self._remember(EpochResult(loss, score))
        progress.finish(f"loss {loss:.3f}" + ("" if score is None else f", validation NDCG@10 {score:.4f}"))

    def _step(self, batch: TrainingBatch, random: np.random.Generator) -> float:
        """Take one step; return the summed loss of this process's share of the queries."""
        negatives = self.sampler.draw(random)
        mine = batch.share(self.team.rank, self.team.world)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.on_gpu):
            loss, _ = self._shared(mine, negatives)
        # DistributedDataParallel averages over the team, so that each share counts world times.
        (loss * (self.team.world / max(len(batch.row_Q), 1))).backward()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError("the loss is not finite; a lower learning rate may help")
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.average.add()
        return value

    def _set_rate(self, done: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * rate_at(done, self.config.warm_up)

    def _remember(self, result: EpochResult) -> None:
        state = self.state
        state.epochs_done += 1
        state.losses.append(result.loss)
        if result.validation is None or result.validation > state.best_score:
            state.best_score = state.best_score if result.validation is None else result.validation
            state.epochs_without_gain = 0
            state.best_model = copy.deepcopy(self.model.state_dict())
        else:
            state.epochs_without_gain += 1

    def _save(self) -> None:
        if self.checkpoints is None or not self.team.leads:
            return
        checkpoint = Checkpoint(
            fingerprint=self.task.fingerprint,
            epochs_done=self.state.epochs_done,
            losses=self.state.losses,
            model=self.model.state_dict(),
            optimiser=self.optimiser.state_dict(),
            average=self.average.state(),
            best_score=self.state.best_score,
            best_model=self.state.best_model or {},
            epochs_without_gain=self.state.epochs_without_gain,
        )
        save_checkpoint(checkpoint, self.checkpoints)

    def _resume(self) -> None:
        """Go on from the checkpoint of this very run, if there is one."""
        checkpoint = load_checkpoint(self.checkpoints, self.task.fingerprint) if self.checkpoints else None
        if checkpoint is None:
            return
        self.model.load_state_dict(checkpoint.model)
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.average.restore(checkpoint.average)
        self.state = TrainingState(
            checkpoint.epochs_done,
            checkpoint.losses,
            checkpoint.best_score,
            checkpoint.best_model or None,
            checkpoint.epochs_without_gain,
        )


def rate_at(done: float, warm_up: float) -> float:
    """Return the share of the learning rate when the share `done` of all steps is behind."""
    if done < warm_up:
        return max(done / warm_up, 0.01)
    cosine = 0.5 * (1 + math.cos(math.pi * (done - warm_up) / max(1 - warm_up, 1e-9)))
    return LOWEST_RATE + (1 - LOWEST_RATE) * cosine


def make_sampler(count_V: LongArray, config: SequenceConfig) -> NegativeSampler | AllItems:
    """Return the negatives that the size of the vocabulary allows."""
    if len(count_V) <= config.full_softmax_up_to:
        return AllItems()
    return NegativeSampler(count_V, config.negatives, config.popularity_share, config.popularity_exponent)


def make_optimiser(model: nn.Module, config: SequenceConfig) -> torch.optim.Optimizer:
    """Return AdamW; weights decay only in the encoder's matrices, not in norms, biases and embeddings."""
    decayed = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    chosen = {id(weight) for weight in decayed}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
