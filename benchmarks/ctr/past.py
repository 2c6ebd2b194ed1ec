"""Point-in-time counts: what had happened strictly before each moment, for all moments at once.

Called by   benchmarks/ctr/data_sets
In          events with a key (a shopper, an item, a pair), a time and a weight; questions with a key and a time
Dimensions  E events, N questions, L newest events
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
DAY_MS = 86_400_000


class Past:
    """Events by key and time."""

    def __init__(self, key_E: npt.NDArray[Any], at_ms_E: Integers, weight_E: npt.NDArray[Any] | None = None) -> None:
        self.known_K, code_E = np.unique(key_E, return_inverse=True)
        self.origin = int(at_ms_E.min()) if len(at_ms_E) else 0
        self.span = int(at_ms_E.max()) - self.origin + 2 if len(at_ms_E) else 2
        moment_E = code_E * self.span + (at_ms_E - self.origin)
        self.order_E = np.argsort(moment_E, kind="stable")
        self.moment_E = moment_E[self.order_E]
        weight_E = np.ones(len(key_E)) if weight_E is None else weight_E
        self.weight_E = weight_E.astype(np.float64)[self.order_E]
        self.ms_E = (at_ms_E - self.origin)[self.order_E]

    def sum(self, key_N: npt.NDArray[Any], at_ms_N: Integers, within_ms: int | None = None) -> Numbers:
        """Return the sum of the weights before each moment, of the last `within_ms` where given."""
        total_E1 = np.append(0.0, np.cumsum(self.weight_E))
        since_N = np.full(len(key_N), self.origin) if within_ms is None else at_ms_N - within_ms
        return total_E1[self._place(key_N, at_ms_N)] - total_E1[self._place(key_N, since_N)]

    def decayed(self, key_N: npt.NDArray[Any], at_ms_N: Integers, half_life_days: float) -> Numbers:
        """Return the sum of the weights, each halved with every half-life since its event."""
        if not len(self.ms_E):
            return np.zeros(len(key_N))
        half_life_ms = half_life_days * DAY_MS
        first_N, end_N = self._place(key_N, np.full(len(key_N), self.origin)), self._place(key_N, at_ms_N)
        last_N = np.maximum(end_N - 1, 0)
        age_ms_N = at_ms_N - self.origin - self.ms_E[last_N]
        sum_N: Numbers = self._decayed_at_events(half_life_ms)[last_N] * np.exp2(-age_ms_N / half_life_ms)
        return np.where(end_N > first_N, sum_N, 0.0)

    def _decayed_at_events(self, half_life_ms: float) -> Numbers:
        """Return at each event the decayed sum of its key up to it, of twice as many events in every turn.

        A difference of running totals would lose it: 200 half-lives on, an event weighs 2^200 times one of the begin.
        """
        key_E, sum_E, span = self.moment_E // self.span, self.weight_E.copy(), 1
        while span < len(sum_E) and (same_E := key_E[span:] == key_E[:-span]).any():
            apart_ms_E = np.where(same_E, self.ms_E[span:] - self.ms_E[:-span], np.inf)
            sum_E[span:] += np.exp2(-apart_ms_E / half_life_ms) * sum_E[:-span]
            span *= 2
        return sum_E

    def days_since(self, key_N: npt.NDArray[Any], at_ms_N: Integers, never: float = 365.0) -> Numbers:
        """Return the days since the newest event of the key, at most `never`."""
        first_N, end_N = self._place(key_N, np.full(len(key_N), self.origin)), self._place(key_N, at_ms_N)
        if not len(self.ms_E):
            return np.full(len(key_N), never)
        days_N = (at_ms_N - self.origin - self.ms_E[np.maximum(end_N - 1, 0)]) / DAY_MS
        return np.where(end_N > first_N, np.minimum(days_N, never), never)

    def newest(self, key_N: npt.NDArray[Any], at_ms_N: Integers, length: int) -> Integers:
        """Return the places of the newest events before each moment, newest first, -1 where there are fewer."""
        first_N, end_N = self._place(key_N, np.full(len(key_N), self.origin)), self._place(key_N, at_ms_N)
        place_NL = end_N[:, None] - 1 - np.arange(length)
        return np.where(place_NL >= first_N[:, None], self.order_E[np.maximum(place_NL, 0)], -1)

    def _place(self, key_N: npt.NDArray[Any], at_ms_N: Integers) -> Integers:
        """Return how many events are of smaller keys, or of this one before the moment; 0 for an unknown key."""
        if not len(self.known_K):
            return np.zeros(len(key_N), np.int64)
        code_N = np.minimum(np.searchsorted(self.known_K, key_N), len(self.known_K) - 1)
        within_N = np.clip(at_ms_N - self.origin, 0, self.span - 1)
        place_N = np.searchsorted(self.moment_E, code_N * self.span + within_N)
        return np.where(self.known_K[code_N] == key_N, place_N, 0)


def rate(part_N: Numbers, whole_N: Numbers, prior: float, strength: float = 20.0) -> Numbers:
    """Return part / whole, pulled towards the prior where there is little of it."""
    return (part_N + prior * strength) / (whole_N + strength)


def lift(found_N: Numbers, expected_N: Numbers, strength: float = 8.0) -> Numbers:
    """Return log(found / expected), pulled towards 0 where little was expected."""
    return np.log((found_N + strength) / (expected_N + strength))


def columns(parts: Sequence[tuple[str, npt.NDArray[Any]]]) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Return the names and the matrix of named columns."""
    names = tuple(name for name, _ in parts)
    return names, np.stack([column.astype(np.float32) for _, column in parts], axis=1)
