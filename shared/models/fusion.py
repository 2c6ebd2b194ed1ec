"""One score out of many: a linear model over the scores of all sources and the candidate's features.

Called by   services/training/fusion.py (fits it), shared/models/recommender.py (applies it)
In          matrix_CF: C candidates, F columns in the order of `feature_names`
Out         score_C, and the part of each column in it, from which reasons are made
Idea        conditional logit (McFadden 1974): P(candidate) = softmax over the candidates of one request, so a column
            that is the same for all candidates changes nothing, and standardised weights can be compared
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray


@dataclass(frozen=True)
class Fusion:
    """Standardisation and weight of each column."""

    feature_names: tuple[str, ...]
    mean_F: FloatArray
    std_F: FloatArray
    weight_F: FloatArray

    def __post_init__(self) -> None:
        lengths = {len(self.feature_names), len(self.mean_F), len(self.std_F), len(self.weight_F)}
        if len(lengths) != 1:
            raise ValueError(f"fusion columns do not match: {sorted(lengths)}")

    def contributions(self, matrix_CF: FloatArray) -> FloatArray:
        """Return what each column adds to each candidate's score, against an average candidate."""
        return (matrix_CF - self.mean_F) * (self.weight_F / self.std_F)

    def score(self, matrix_CF: FloatArray) -> FloatArray:
        """Return score_C, the sum of the contributions."""
        scale_F = self.weight_F / self.std_F
        return matrix_CF @ scale_F - np.float32(self.mean_F @ scale_F)

    def to_json(self) -> dict[str, object]:
        """Return the fusion as plain values."""
        return {
            "feature_names": list(self.feature_names),
            "mean": self.mean_F.tolist(),
            "std": self.std_F.tolist(),
            "weight": self.weight_F.tolist(),
        }

    @classmethod
    def from_json(cls, stored: dict[str, list[float]]) -> "Fusion":
        """Return the fusion that `to_json` wrote."""
        arrays = [np.array(stored[key], np.float32) for key in ("mean", "std", "weight")]
        return cls(tuple(str(name) for name in stored["feature_names"]), *arrays)
