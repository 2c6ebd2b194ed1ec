"""Vectors of what an item's title, description, categories and brand say: TF-IDF, reduced by SVD, of unit length.

Called by   services/training/pipeline.py; shared/models/content.py compares the vectors
Why         the default because it needs no model and a second or two; a sentence encoder understands more and costs
            minutes (see sentence.py)
Source      latent semantic analysis (Deerwester et al. 1990), scikit-learn
Dimensions  M items, D width
"""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd

from shared.features.catalogue import CatalogueItem
from shared.features.events import FloatArray
from shared.models.tables import ContentVectors

MAX_WORDS = 20_000
CATEGORY_WEIGHT = 2
"""a category is named this often: it says more than one word of a description"""


def text_of(item: CatalogueItem) -> str:
    """Return an item as one text."""
    named = [*item.categories * CATEGORY_WEIGHT, item.brand, item.title, item.description]
    return " ".join(part for part in named if part)


def fit_tfidf(items: Sequence[CatalogueItem], dim: int, seed: int) -> ContentVectors:
    """Return one vector for each item, zero for an item without words."""
    texts = [text_of(item) for item in items]
    vectoriser = TfidfVectorizer(sublinear_tf=True, max_features=MAX_WORDS, dtype=np.float32)
    try:
        counts_MW = vectoriser.fit_transform(texts)
    except ValueError:  # no item has a word
        return ContentVectors(np.zeros((len(items), dim), np.float32))
    width = min(dim, *(side - 1 for side in counts_MW.shape))
    if width < 1:
        return ContentVectors(np.zeros((len(items), dim), np.float32))
    left_MD, strength_D, _ = randomized_svd(counts_MW, n_components=width, n_iter=2, random_state=seed)
    vector_MD = np.zeros((len(items), dim), np.float32)
    vector_MD[:, :width] = left_MD * strength_D
    return ContentVectors(unit_rows(vector_MD))


def unit_rows(vector_MD: FloatArray) -> FloatArray:
    """Return rows of length 1; a zero row stays."""
    length_M1 = np.linalg.norm(vector_MD, axis=1, keepdims=True)
    unit_MD: FloatArray = (vector_MD / np.maximum(length_M1, 1e-9)).astype(np.float32)
    return unit_MD
