"""The collaborative tables of a bundle: learned by training, read by the candidate sources.

Called by   services/training/collaborative (make), shared/models/bundle.py (store), shared/models/sources (read)
Dimensions  V items of the vocabulary, K neighbours, F factors, S sample histories
Rule        nothing is keyed by user: a shopper is folded in from their history, so a bundle grows with items only
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from shared.features.events import FloatArray, IntArray, LongArray

Array = npt.NDArray[np.generic]


class Table:
    """A frozen set of named arrays that can be written to and read from one flat mapping."""

    def to_arrays(self, prefix: str) -> dict[str, Array]:
        """Return the arrays under `prefix.name`."""
        return {f"{prefix}.{field.name}": getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_arrays(cls, prefix: str, arrays: dict[str, Array]) -> Self:
        """Return the table stored under `prefix`; KeyError names a missing array."""
        return cls(**{field.name: arrays[f"{prefix}.{field.name}"] for field in fields(cls)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class ItemNeighbours(Table):
    """For each item its nearest items, heaviest first; item-CF and co-visitation."""

    neighbour_VK: IntArray
    """item codes, -1 where an item has fewer than K neighbours"""
    weight_VK: FloatArray
    """similarity, 0 where there is no neighbour"""


@dataclass(frozen=True)
class Transitions(ItemNeighbours):
    """For each item the items that come after it, and for how long it speaks of what comes next."""

    vote_S: FloatArray
    """weight of an item by how many steps ago it came; older ones have none"""


@dataclass(frozen=True)
class SvdFactors(Table):
    """Item factors of the interaction matrix: scores = (history @ factors) @ factors.T."""

    factor_VF: FloatArray


@dataclass(frozen=True)
class FoldInFactors(Table):
    """Item factors of a weighted factorisation, with what is needed to find the factors of a shopper; iALS."""

    factor_VF: FloatArray
    gram_FF: FloatArray
    """what all items together ask of a shopper's factors, events or not"""
    penalty_N: FloatArray
    """weight of a shopper's own size by their number of items; the last one for all larger numbers"""


@dataclass(frozen=True)
class SampleHistories(Table):
    """Histories of at most 100,000 shoppers without their ids, as compressed rows and their inverted index; user-CF."""

    start_S1: LongArray
    """history s holds entries start[s] to start[s + 1]"""
    item_E: IntArray
    weight_E: FloatArray
    """rows have unit length, so that a product of two rows is a cosine"""
    posting_start_V1: LongArray
    """item v is in the histories posting_start[v] to posting_start[v + 1]"""
    history_P: IntArray
    posting_weight_P: FloatArray


@dataclass(frozen=True)
class Popularity(Table):
    """How much each item is bought now, and the most bought of each top category."""

    weight_V: FloatArray
    """decayed count of purchases"""
    top_TM: IntArray
    """most popular items: row 0 over all, then one row per category of BundleContents.categories; -1 pads"""
    repeat_rate_V: FloatArray
    """share of an item's buyers who bought it again; tells consumables from durable goods"""


@dataclass(frozen=True)
class ContentVectors(Table):
    """Vectors of title and description, of unit length; also for items outside the vocabulary."""

    vector_MD: FloatArray
