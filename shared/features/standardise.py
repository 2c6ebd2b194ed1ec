"""Numbers to mean 0 and deviation 1, with the statistics of the training data stored beside the model.

Called by   services/training (fit), shared/models (apply at training and serving)
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray

SMALLEST_STD = 1e-6


@dataclass(frozen=True)
class Standardiser:
    """Mean and deviation of each of F columns."""

    mean_F: FloatArray
    std_F: FloatArray
    """1 for a column that never varies, so that it becomes 0"""

    @staticmethod
    def fit(matrix_CF: FloatArray) -> "Standardiser":
        """Return the statistics of the rows; ValueError without rows or with a value that is not finite."""
        if not len(matrix_CF) or not np.isfinite(matrix_CF).all():
            raise ValueError("standardising needs at least one row, and finite values only")
        mean_F = matrix_CF.mean(axis=0, dtype=np.float64)
        std_F = matrix_CF.std(axis=0, dtype=np.float64)
        return Standardiser(mean_F.astype(np.float32), np.where(std_F < SMALLEST_STD, 1.0, std_F).astype(np.float32))

    def apply(self, matrix_CF: FloatArray) -> FloatArray:
        """Return the standardised rows."""
        return (matrix_CF - self.mean_F) / self.std_F

    def to_arrays(self) -> dict[str, FloatArray]:
        """Return what the bundle stores."""
        return {"mean": self.mean_F, "std": self.std_F}

    @staticmethod
    def from_arrays(arrays: dict[str, FloatArray]) -> "Standardiser":
        """Return the statistics of `to_arrays`."""
        return Standardiser(arrays["mean"], arrays["std"])
