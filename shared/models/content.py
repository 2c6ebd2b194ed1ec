"""Content: items whose title and description are like those of the history; the way in for items nobody bought yet.

Called by   shared/models/recommender.py
New items   not in the vocabulary and created later than NEW_DAYS before the end of the training data; an item that
            the bundle has never seen takes the mean vector of its leaf category
Dimensions  N catalogue rows, D width of the vectors
"""

import numpy as np

from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.features.user import DAY_MS
from shared.models.bundle import BundleContents
from shared.models.rows import RowMap
from shared.models.sources.scores import best_first, taste
from shared.models.tensors import BoolArray, History

NEW_DAYS = 60
MAX_LIKED = 50
MAX_NEW = 5000
"""new items compared in one request, newest first"""


class ContentIndex:
    """Vectors of unit length for every row of the catalogue."""

    def __init__(self, contents: BundleContents, catalogue: Catalogue, rows: RowMap) -> None:
        self._catalogue, self._rows = catalogue, rows
        self._new_since_ms = contents.facts.trained_until_ms - NEW_DAYS * DAY_MS
        self._vector_MD = contents.content.vector_MD
        self._place_of = {item_id: place for place, item_id in enumerate(contents.content_ids)}
        self._category_mean: dict[str, FloatArray] = {}
        self._vector_ND: FloatArray = np.empty((0, self._vector_MD.shape[1]), np.float32)
        self._new_row: IntArray = np.empty(0, np.int32)
        self._new_vector: FloatArray = self._vector_ND
        self._extend()

    def vectors(self, row_C: IntArray) -> FloatArray:
        """Return the vector of each row; zeros for an item without text in a category without any."""
        self._extend()
        return self._vector_ND[row_C]

    def likeness(self, wanted_D: FloatArray | None, row_C: IntArray) -> FloatArray:
        """Return the cosine between each row and what the shopper wants; 0 when that is not known."""
        self._extend()
        return np.zeros(len(row_C), np.float32) if wanted_D is None else self._vector_ND[row_C] @ wanted_D

    def newest_like(self, wanted_D: FloatArray | None, limit: int, allowed_N: BoolArray | None) -> IntArray:
        """Return new items, most alike first; when it is not known what is wanted, the newest."""
        self._extend()
        row_C, vector_CD = self._new_row, self._new_vector
        if allowed_N is not None:
            keep_C = allowed_N[row_C]
            row_C, vector_CD = row_C[keep_C], vector_CD[keep_C]
        return row_C[:limit] if wanted_D is None else row_C[best_first(vector_CD @ wanted_D, limit)]

    def nearest(self, row: int, limit: int) -> tuple[IntArray, FloatArray]:
        """Return the rows most like one row, and their cosine."""
        self._extend()
        cosine_N = self._vector_ND @ self._vector_ND[row]
        cosine_N[row] = -1
        best = best_first(cosine_N, limit)
        best = best[cosine_N[best] > 0]
        return best.astype(np.int32), cosine_N[best]

    def wanted(self, history: History) -> FloatArray | None:
        """Return the mean vector of what the shopper likes, of unit length; None without a history."""
        self._extend()
        liked = taste(history, MAX_LIKED)
        if not len(liked.code_C):
            return None
        row_M = self._rows.row_of_code_V[liked.code_C]
        mean_D = liked.score_C @ self._vector_ND[row_M]
        length = float(np.linalg.norm(mean_D))
        return mean_D / np.float32(length) if length > 0 else None

    def _extend(self) -> None:
        known = len(self._vector_ND)
        if known == len(self._catalogue):
            return
        self._rows.extend()
        fresh = self._catalogue.items[known:]
        place = np.array([self._place_of.get(item.item_id, -1) for item in fresh], np.int64)
        vector = np.where((place >= 0)[:, None], self._vector_MD[place], 0).astype(np.float32)
        self._vector_ND = np.concatenate([self._vector_ND, vector])
        for row in known + np.flatnonzero(place < 0):
            self._vector_ND[row] = self._mean_of_leaf(int(self._catalogue.leaf_category_N[row]))
        created_N = self._catalogue.created_ms_N
        new_row = np.flatnonzero((self._rows.code_of_row_N < 0) & (created_N > self._new_since_ms))
        self._new_row = new_row[np.argsort(-created_N[new_row], kind="stable")][:MAX_NEW].astype(np.int32)
        self._new_vector = self._vector_ND[self._new_row]

    def _mean_of_leaf(self, leaf: int) -> FloatArray:
        name = self._catalogue.categories.names[leaf]
        if name not in self._category_mean:
            rows = np.flatnonzero(self._catalogue.leaf_category_N[: len(self._vector_ND)] == leaf)
            mean_D = self._vector_ND[rows].sum(axis=0)
            self._category_mean[name] = mean_D / np.float32(max(float(np.linalg.norm(mean_D)), 1e-9))
        return self._category_mean[name]
