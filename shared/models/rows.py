"""Item codes of a bundle ↔ rows of the live catalogue, kept in step while the catalogue grows.

Called by   shared/models/recommender.py, shared/models/content.py
"""

from collections.abc import Sequence

import numpy as np

from shared.features.catalogue import Catalogue
from shared.features.events import IntArray
from shared.models.tensors import BoolArray


class RowMap:
    """V codes and N rows; -1 on either side means the other side does not know the item."""

    def __init__(self, item_ids: Sequence[str], catalogue: Catalogue) -> None:
        self._code_of = {item_id: code for code, item_id in enumerate(item_ids)}
        self._catalogue = catalogue
        self.row_of_code_V: IntArray = np.full(len(item_ids), -1, np.int32)
        self.code_of_row_N: IntArray = np.empty(0, np.int32)
        self.extend()

    def extend(self) -> None:
        """Take in the rows that the catalogue has got since the last call."""
        known = len(self.code_of_row_N)
        if known == len(self._catalogue):
            return
        fresh = self._catalogue.items[known:]
        codes = np.array([self._code_of.get(item.item_id, -1) for item in fresh], np.int32)
        rows = np.arange(known, known + len(fresh), dtype=np.int32)
        self.row_of_code_V[codes[codes >= 0]] = rows[codes >= 0]
        self.code_of_row_N = np.concatenate([self.code_of_row_N, codes])

    def allowed(self, allowed_N: BoolArray | None) -> BoolArray | None:
        """Return which codes may be retrieved: in the catalogue, and allowed there; None for all, as most often."""
        known_V: BoolArray = self.row_of_code_V >= 0
        if allowed_N is not None:
            return known_V & allowed_N[self.row_of_code_V]
        return None if known_V.all() else known_V
