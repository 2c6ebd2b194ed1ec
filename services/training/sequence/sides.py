"""What the catalogue says of the items that the encoder learns: kinds with a code for each item, and texts.

Called by   services/training/pipeline.py makes them, services/training/sequence/items.py learns vectors of them
Dimensions  V items of the vocabulary, M items of the catalogue, T width of the text vectors
Left out    what the catalogue says of no item: a shop without prices has no price buckets
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.features.catalogue import Catalogue, CodeBook
from shared.features.events import FloatArray, IntArray

PRICE_BUCKETS = 10


@dataclass(frozen=True)
class Kind:
    """One way to sort the items: the code of each, and how many codes there are."""

    code_V: IntArray
    size: int


@dataclass(frozen=True)
class ItemSides:
    """What is known of the items beside their events."""

    kinds: Mapping[str, Kind]
    """by name: category, brand, price"""
    text_VT: FloatArray | None = None
    """vectors of unit length; zeros for items without a text"""


NO_SIDES = ItemSides({})


def sides_of(catalogue: Catalogue, row_V: IntArray, text_MT: FloatArray | None = None) -> ItemSides:
    """Return category, brand and price bucket of each item, coded over the whole catalogue, and its text vector."""
    kinds = {}
    for name, book, code_M in (
        ("category", catalogue.categories, catalogue.leaf_category_N),
        ("brand", catalogue.brands, catalogue.brand_N),
    ):
        if len(book) > 1:
            kinds[name] = Kind(_by_name(book)[code_M[row_V]], len(book))
    if not np.isnan(catalogue.price_N).all():
        bucket_V = price_bucket(catalogue.price_N[row_V], catalogue.price_position_N[row_V])
        kinds["price"] = Kind(bucket_V, PRICE_BUCKETS + 1)
    return ItemSides(kinds, text_MT[row_V] if text_MT is not None and text_MT.any() else None)


def price_bucket(price_V: FloatArray, position_V: FloatArray) -> IntArray:
    """Return 1 for the cheapest of an item's path to PRICE_BUCKETS for the dearest, 0 where no price is known."""
    bucket_V = 1 + np.minimum((position_V * PRICE_BUCKETS).astype(np.int32), PRICE_BUCKETS - 1)
    return np.where(np.isnan(price_V), 0, bucket_V).astype(np.int32)


def _by_name(book: CodeBook) -> IntArray:
    """Return codes in the order of the names, so that the order of the catalogue's rows does not matter."""
    place_K = np.empty(len(book), np.int32)
    place_K[sorted(range(len(book)), key=book.names.__getitem__)] = np.arange(len(book), dtype=np.int32)
    return place_K
