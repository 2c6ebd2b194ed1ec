"""The cost card: what a variant of a model costs and what it loses, and which one the gate takes.

Called by   services/training/compression/compress.py, benchmarks/compression
Cost        CPU time of one request on one thread; a million requests cost as much more or less as that does
Choice      the cheapest variant that keeps enough of the NDCG@10 of the model it was made of
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LOSS_ALLOWED = 0.01
"""of NDCG@10, as a share of the uncompressed model's"""


@dataclass(frozen=True)
class Speed:
    """Of one request on one thread, in milliseconds."""

    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """median CPU time of the thread"""


@dataclass(frozen=True)
class CostCard:
    """One variant."""

    name: str
    size_mb: float
    """of its files"""
    memory_mb: float
    """of its weights, as they are held to serve"""
    speed: Speed
    ndcg_10: float
    auc: float

    def as_json(self, base: "CostCard") -> dict[str, Any]:
        """Return plain values, with cost and quality beside those of the uncompressed model."""
        return {
            **asdict(self),
            "relative_cost_per_million": round(self.speed.cpu_ms / base.speed.cpu_ms, 3),
            "loss": round(self.loss(base), 5),
        }

    def loss(self, base: "CostCard") -> float:
        """Return which share of the uncompressed model's NDCG@10 is lost; negative for a gain."""
        return 1 - self.ndcg_10 / base.ndcg_10 if base.ndcg_10 else 0.0


@dataclass(frozen=True)
class Choice:
    """What the gate takes, and why not the others."""

    card: CostCard
    refused: dict[str, str]


def choose(base: CostCard, variants: Sequence[CostCard], loss_allowed: float = LOSS_ALLOWED) -> Choice:
    """Return the cheapest card that keeps the quality; the base itself when none is cheaper."""
    refused = {
        card.name: f"loses {card.loss(base):.2%} of NDCG@10, more than {loss_allowed:.2%}"
        for card in variants
        if not card.loss(base) <= loss_allowed
    }
    good = [base, *(card for card in variants if card.name not in refused)]
    return Choice(min(good, key=lambda card: card.speed.cpu_ms), refused)


def speed_of(answer: Callable[[int], object], requests: int, warm: int = 20) -> Speed:
    """Return how long `answer(place)` takes for so many requests, one after the other."""
    return speeds_in_turns([answer], requests, warm)[0]


def speeds_in_turns(answers: Sequence[Callable[[int], object]], requests: int, warm: int = 20) -> list[Speed]:
    """Return the same for several ways to answer, asked in turns, so that other load on the machine meets them all."""
    for place in range(warm):
        for answer in answers:
            answer(place % requests)
    wall, cpu = np.empty((len(answers), requests)), np.empty((len(answers), requests))
    for place in range(requests):
        for way, answer in enumerate(answers):
            started_s, started_cpu_s = time.perf_counter(), time.thread_time()
            answer(place)
            wall[way, place] = time.perf_counter() - started_s
            cpu[way, place] = time.thread_time() - started_cpu_s
    quantiles = 1000 * np.quantile(wall, (0.5, 0.99), axis=1)
    each = zip(quantiles[0].tolist(), quantiles[1].tolist(), (1000 * np.median(cpu, axis=1)).tolist(), strict=True)
    return [Speed(*(round(value, 4) for value in values)) for values in each]
