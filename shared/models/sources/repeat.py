"""Repeat: what the shopper bought or looked at before, for things that are bought again.

Called by   shared/models/recommender.py
Why         in shops of consumables most purchases are repeats (measured in every offline report under "repeats")
"""

from dataclasses import dataclass

from shared.models.sources.scores import SparseScores, taste
from shared.models.tensors import History


@dataclass(frozen=True)
class RepeatSource:
    """Candidates from the shopper's own history."""

    name: str = "repeat"

    def scores(self, history: History) -> SparseScores:
        """Return the shopper's taste for each item of their history."""
        return taste(history)
