"""Re-ranking written down from its definitions with plain loops: slow, obvious, and sharing no line with the product.

Called by   tests/unit/ranking/rerank
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

Matrix = Sequence[Sequence[float]]


def greedy(size: int, limit: int, gain: Callable[[list[int], int], float]) -> list[int]:
    """Return the list that takes the best next item again and again; ties by number."""
    chosen: list[int] = []
    while len(chosen) < limit:
        rest = [item for item in range(size) if item not in chosen]
        gains = [gain(chosen, item) for item in rest]
        chosen.append(rest[gains.index(max(gains))])
    return chosen


def dpp(base: Sequence[float], kernel: Matrix, strength: float, limit: int) -> list[int]:
    """Return the greedy most likely list of a determinantal point process, by determinants."""

    def log_det(items: list[int]) -> float:
        return float(np.linalg.slogdet(np.array([[kernel[a][b] for b in items] for a in items]))[1]) if items else 0.0

    return greedy(
        len(base),
        limit,
        lambda chosen, item: base[item] + strength * (log_det([*chosen, item]) - log_det(chosen)),
    )


def mmr(base: Sequence[float], kernel: Matrix, strength: float, limit: int) -> list[int]:
    """Return the list of maximal marginal relevance."""
    return greedy(
        len(base),
        limit,
        lambda chosen, item: base[item] - strength * max((kernel[item][other] for other in chosen), default=0.0),
    )


def calibrated(
    base: Sequence[float], category: Sequence[str], wanted: dict[str, float], strength: float, limit: int
) -> list[int]:
    """Return the list whose categories come near the wanted shares, by Kullback and Leibler's distance."""

    def distance(items: list[int]) -> float:
        total = 0.0
        for name, share in wanted.items():
            own = sum(category[item] == name for item in items) / len(items)
            total += share * math.log(share / (0.99 * own + 0.01 * share))
        return total

    return greedy(len(base), limit, lambda chosen, item: base[item] - strength * limit * distance([*chosen, item]))


def kernel(vectors: Matrix, tops: Sequence[int], leaves: Sequence[int]) -> list[list[float]]:
    """Return how alike every two items are; 0 is the category that nobody knows."""

    def alike(a: int, b: int) -> float:
        cosine = sum(x * y for x, y in zip(vectors[a], vectors[b], strict=True))
        top = tops[a] == tops[b] != 0
        leaf = leaves[a] == leaves[b] != 0
        return 0.5 * cosine + 0.25 * top + 0.25 * leaf

    size = len(vectors)
    return [[1.0 if a == b else alike(a, b) for b in range(size)] for a in range(size)]
