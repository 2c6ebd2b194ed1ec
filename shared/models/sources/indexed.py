"""Scores of a catalogue that is not scored whole: the best by a search, any other item when it is asked for.

Called by   shared/models/sources/sequence.py and gpu_sequence.py make them, shared/models/columns.py and recommender.py
            read them
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.retrieval_index import BEST, Found, Rows
from shared.models.tensors import BoolArray


class Search(Protocol):
    """Finds the best items of a state."""

    def search(self, state_D: FloatArray, limit: int, allowed_V: BoolArray | None = None) -> Found:
        """Return at most `limit` item codes and their scores, best first; only allowed ones."""
        ...


@dataclass(frozen=True)
class IndexedScores:
    """Logits of one state against the item table; any sign, all items are candidates."""

    items: Search
    item_VD: Rows
    state_D: FloatArray
    found: Found | None = None
    """the best BEST, where they were found together with the state"""

    def top(self, limit: int, allowed_V: BoolArray | None) -> IntArray:
        """Return at most `limit` item codes, best first, only allowed ones."""
        if allowed_V is None and limit <= BEST:
            return self._first[0][:limit]
        return self.items.search(self.state_D, limit, allowed_V)[0]

    def at(self, code_C: IntArray) -> FloatArray:
        """Return the score of each code."""
        score_C: FloatArray = np.asarray(self.item_VD[code_C], np.float32) @ self.state_D
        return score_C

    @cached_property
    def best(self) -> float:
        """Return the highest score."""
        return float(self._first[1][0])

    @cached_property
    def _first(self) -> tuple[IntArray, FloatArray]:
        """The list that most requests want, searched once."""
        return self.items.search(self.state_D, BEST) if self.found is None else self.found
