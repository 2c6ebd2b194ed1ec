"""A list in the making: place by place the pinned item, else the best that no cap forbids.

Called by   services/ranking/rerank/rerank.py
In          a Variety that says what each candidate would add now; what is decided; the caps
Out         candidates in the order of the list, and by candidate why it is there other than by its gain
Full        when the caps leave nobody, the best of those they forbid comes in, and is flagged
Dimensions  C candidates
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.ranking.rerank.business_rules import CapCounts
from services.ranking.rerank.diversity import Variety

PINNED, FIRST_SHOWING, OVER_CAP = "pinned", "first_showing", "over_cap"


@dataclass(frozen=True)
class Fixed:
    """Candidates whose being in the list is decided."""

    at_place: dict[int, int]
    """place in the list → candidate"""
    somewhere: Sequence[int]
    """in the last places, if not before"""


class Selection:
    """Fills one list."""

    def __init__(self, variety: Variety, fixed: Fixed, caps: CapCounts, size: int) -> None:
        self._variety, self._caps, self._at_place = variety, caps, dict(fixed.at_place)
        self.flags = dict.fromkeys(fixed.at_place.values(), PINNED)
        self._waiting = [place for place in fixed.somewhere if place not in self.flags]
        self._taken_C = np.zeros(size, np.float32)
        """-inf for those that are in the list or will be, at their place; 0 for the others"""
        self._taken_C[list(self.flags)] = -np.inf
        self._closed_C = self._taken_C.copy()
        """-inf also for those that a cap forbids"""

    def fill(self, limit: int) -> list[int]:
        """Return `limit` candidates, at most as many as there are."""
        chosen: list[int] = []
        for place in range(limit):
            best = self._next(place, limit)
            chosen.append(best)
            self._take(best)
        return chosen

    def _next(self, place: int, limit: int) -> int:
        if place in self._at_place:
            return self._at_place.pop(place)
        if self._waiting and self._free(place, limit) <= len(self._waiting):
            self.flags[self._waiting[0]] = FIRST_SHOWING
            return self._waiting[0]
        gain_C = self._variety.gain_C()
        best = int((gain_C + self._closed_C).argmax())
        if self._closed_C[best] == 0:
            return best
        best = int((gain_C + self._taken_C).argmax())
        if self._taken_C[best] == 0:
            self.flags[best] = OVER_CAP
            return best
        # The list is shorter than the place of a pin: what is pinned further down closes it.
        return self._at_place.pop(min(self._at_place))

    def _free(self, place: int, limit: int) -> int:
        """Return how many places from here on are not pinned."""
        return limit - place - sum(1 for pinned in self._at_place if pinned < limit)

    def _take(self, best: int) -> None:
        if best in self._waiting:
            self._waiting.remove(best)
        self._taken_C[best] = self._closed_C[best] = -np.inf
        self._variety.take(best)
        self._caps.take(best)
        self._caps.close(self._closed_C)
