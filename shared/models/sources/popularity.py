"""Popularity: what sells now, over all and in the categories that the shopper or the page is about.

Called by   shared/models/recommender.py; the only source that needs no history
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.models.sources.scores import best_first
from shared.models.tables import Popularity
from shared.models.tensors import BoolArray


@dataclass(frozen=True)
class PopularityScores:
    """Popular items of a few categories; a score is the decayed count of purchases."""

    table: Popularity
    category_T: tuple[int, ...]
    """rows of `top_TM`, the row over all categories first"""

    def top(self, limit: int, allowed_V: BoolArray | None) -> IntArray:
        """Return popular items over all and of the categories; of all allowed ones when only a few are allowed."""
        if allowed_V is not None and allowed_V.sum() <= 4 * limit:
            allowed = np.flatnonzero(allowed_V)
            return allowed[best_first(self.table.weight_V[allowed], limit)].astype(np.int32)
        share = max(1, limit // max(1, len(self.category_T)))
        chosen = [self._row(row, limit if row == 0 else share, allowed_V) for row in self.category_T]
        code = np.unique(np.concatenate(chosen))
        return code[best_first(self.table.weight_V[code], limit)].astype(np.int32)

    def _row(self, row: int, limit: int, allowed_V: BoolArray | None) -> IntArray:
        code: IntArray = self.table.top_TM[row]
        if allowed_V is not None:
            code = code[allowed_V[code]]
        code = code[:limit]
        return code[code >= 0]

    def at(self, code_C: IntArray) -> FloatArray:
        """Return the decayed count of purchases of each item."""
        return self.table.weight_V[code_C]


@dataclass(frozen=True)
class PopularitySource:
    """Candidates from what sells now."""

    table: Popularity
    row_of_category: dict[str, int]
    name: str = "popularity"

    def scores(self, categories: tuple[str, ...]) -> PopularityScores:
        """Return popularity over all and in the named top categories."""
        rows = [self.row_of_category[name] for name in categories if name in self.row_of_category]
        return PopularityScores(self.table, (0, *rows))
