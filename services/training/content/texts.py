"""What an item says of itself, as one text.

Called by   services/training/content/tfidf.py, sentence.py
"""

import numpy as np

from shared.features.catalogue import CatalogueItem
from shared.features.events import FloatArray

CATEGORY_WEIGHT = 2
"""a category is named this often: it says more than one word of a description"""


def text_of(item: CatalogueItem) -> str:
    """Return an item's categories, brand, title and description."""
    named = [*item.categories * CATEGORY_WEIGHT, item.brand, item.title, item.description]
    return " ".join(part for part in named if part)


def unit_rows(vector_MD: FloatArray) -> FloatArray:
    """Return rows of length 1; a zero row stays."""
    length_M1 = np.linalg.norm(vector_MD, axis=1, keepdims=True)
    unit_MD: FloatArray = (vector_MD / np.maximum(length_M1, 1e-9)).astype(np.float32)
    return unit_MD
