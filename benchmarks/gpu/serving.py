"""Requests a second and their times on a GPU: the sequence engine by batch size, then behind its queue under load.

Called by   benchmarks/gpu/__main__.py
Batches     made of histories as requests bring them; a time runs from the histories in the host's memory to lists there
Load        open loop: requests arrive at random moments of a fixed rate, whether or not earlier ones were answered, and
            a time runs from the moment a request should have been sent. With batches of one, the queue only waits
Made up     item vectors and histories are random numbers, weights are untrained: none of it changes how long it takes
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.ranking.micro_batcher import MicroBatcher, TooLateError
from shared.models.gpu.sequence_engine import Answer, SequenceEngine
from shared.models.tensors import History
from shared.resilience.deadline import Deadline

LENGTH = 64
REPEATS = 200
SECONDS = 2.0
TIMEOUT_MS = 50.0
DAY_MS = 86_400_000


def histories(count: int, num_items: int, seed: int) -> list[History]:
    """Return shoppers with a purchase a day."""
    random = np.random.default_rng(seed)
    at_ms_L = np.arange(LENGTH, dtype=np.int64) * DAY_MS
    return [
        History(
            random.integers(0, num_items, LENGTH).astype(np.int32),
            np.full(LENGTH, 6, np.int8),
            at_ms_L,
            LENGTH * DAY_MS,
        )
        for _ in range(count)
    ]


def batch_row(engine: SequenceEngine, batch: int, num_items: int) -> dict[str, Any]:
    """Return the time of a batch and the requests a second that follow from it."""
    asked = histories(batch, num_items, batch)
    for _ in range(5):
        engine(asked)
    times_ms = []
    for _ in range(REPEATS):
        began_s = time.perf_counter()
        engine(asked)
        times_ms.append(1000 * (time.perf_counter() - began_s))
    p50_ms, p99_ms = np.quantile(times_ms, (0.5, 0.99)).tolist()
    per_s = batch * REPEATS / (sum(times_ms) / 1000)
    return {
        "items": num_items,
        "batch": batch,
        "p50_ms": round(p50_ms, 3),
        "p99_ms": round(p99_ms, 3),
        "requests_per_s": round(per_s),
    }


def load_row(engine: SequenceEngine, rate: int, largest: int, num_items: int) -> dict[str, Any]:
    """Return how requests at a fixed rate are answered through the queue."""
    return asyncio.run(_under_load(engine, rate, largest, num_items))


async def _under_load(engine: SequenceEngine, rate: int, largest: int, num_items: int) -> dict[str, Any]:
    sizes: list[int] = []

    def counted(asked: Sequence[History]) -> list[Answer]:
        sizes.append(len(asked))
        return engine(asked)

    batcher: MicroBatcher[History, Answer] = MicroBatcher(counted, largest)
    asked = histories(256, num_items, rate)
    due_s = np.cumsum(np.random.default_rng(rate).exponential(1 / rate, int(rate * SECONDS))).tolist()
    began_s = time.monotonic()
    tasks = []
    for place, moment_s in enumerate(due_s):
        if (wait_s := began_s + moment_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.create_task(_one(batcher, asked[place % len(asked)], began_s + moment_s)))
    times_ms = [ms for ms in await asyncio.gather(*tasks) if ms is not None]
    took_s = time.monotonic() - began_s
    batcher.close()
    p50_ms, p99_ms = np.quantile(times_ms, (0.5, 0.99)).tolist() if times_ms else (None, None)
    return {
        "items": num_items,
        "largest_batch": largest,
        "rate": rate,
        "achieved_per_s": round(len(times_ms) / took_s),
        "refused": len(tasks) - len(times_ms),
        "mean_batch": round(float(np.mean(sizes)), 2),
        "p50_ms": None if p50_ms is None else round(p50_ms, 3),
        "p99_ms": None if p99_ms is None else round(p99_ms, 3),
    }


async def _one(batcher: MicroBatcher[History, Answer], history: History, due_s: float) -> float | None:
    """Return the time of one request, None if it was refused."""
    try:
        await batcher.ask(history, Deadline(due_s + TIMEOUT_MS / 1000))
    except TooLateError:
        return None
    return 1000 * (time.monotonic() - due_s)
