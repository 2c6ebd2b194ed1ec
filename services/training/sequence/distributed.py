"""One training run on several processes: who am I, which share of a batch is mine, and sums over all.

Called by   services/training/sequence/trainer.py; processes are started by `torchrun`
Engine      torch.distributed with gloo (CPU) or nccl (GPU) and DistributedDataParallel; alone, nothing of it is touched
Equality    every process draws the same windows and negatives and takes every world-th window, so that the sum of the
            losses, and therefore each step, is that of one process up to rounding
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Return whether this process writes files and reports."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model, averaging gradients over the team."""
        return model if self.world == 1 else DistributedDataParallel(model)

    def total(self, values: list[float]) -> list[float]:
        """Return the sums over the team."""
        if self.world == 1:
            return values
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        summed = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(summed)
        return summed.tolist()

    def wait(self) -> None:
        """Return when every process has come this far."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def joined_team(device: str) -> Iterator[Team]:
    """Join the team that `torchrun` started, or be alone."""
    if not dist.is_torchelastic_launched():
        yield Team()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # "cuda" is from now on this process's own GPU
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), dist.get_world_size())
    finally:
        # A DistributedDataParallel is part of reference cycles. One that is still there when the interpreter ends keeps
        # threads that then ask for its lock, and the process is aborted after all work was done (2 of 48 runs).
        gc.collect()
        dist.destroy_process_group()
