"""Vectors of what an item's title, description, categories and brand say: TF-IDF, reduced by SVD, of unit length.

Called by   services/training/content/fit.py; shared/models/content.py compares the vectors
Why         the default because it needs no model and a second or two; a sentence encoder understands more and costs
            minutes (see sentence.py)
Source      latent semantic analysis (Deerwester et al. 1990), scikit-learn
Dimensions  M items, D width
"""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.extmath import randomized_svd

from services.training.content.texts import text_of, unit_rows
from shared.features.catalogue import CatalogueItem
from shared.models.tables import ContentVectors

MAX_WORDS = 20_000


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
