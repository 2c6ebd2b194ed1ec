"""While a model is trained, make torch give one result: a fixed number of threads, deterministic operations only (CPU).

Called by   services/training/sequence/fit.py
Threads     sums over several threads are added in another order than over one: equal runs need equal numbers
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from services.training.sequence.config import SequenceConfig
from services.training.sequence.distributed import Team


@contextmanager
def repeatable(config: SequenceConfig, team: Team) -> Iterator[None]:
    """While a model is trained: the configured threads, and only operations that give one result."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # its attribute is set through a property that the type stubs lack
    fills = memory.fill_uninitialized_memory
    torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 1) // team.world))
    torch.use_deterministic_algorithms(config.device == "cpu")  # on a GPU, sums may be added in any order
    # Filling every fresh tensor with NaN would only make reads of unwritten memory equal, and costs a twentieth.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        memory.fill_uninitialized_memory = fills
