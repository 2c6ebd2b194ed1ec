"""What a feature is: name, family, type, window, default and meaning, written next to the code that computes it.

Called by   every module of this package that computes features; registry.py collects the definitions
"""

from dataclasses import dataclass
from typing import Literal

Family = Literal["user", "item", "context", "candidate"]
Dtype = Literal["float32", "category"]


@dataclass(frozen=True)
class FeatureDefinition:
    """One feature. All six values enter the schema hash: a changed meaning is a changed feature."""

    name: str
    family: Family
    dtype: Dtype
    window: str
    """how far back it looks, as text: "512 events", "30 d", "half-life 60 d", "now" """
    default: float | None
    """the value when nothing is known; None for a category, whose unknown bucket has code 0"""
    meaning: str
