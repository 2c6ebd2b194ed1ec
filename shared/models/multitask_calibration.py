"""Calibration of the ranker's chances: what a later slice of the log showed of each step.

Called by   services/training/multitask/calibrate.py (fits it), services/ranking (applies it)
Platt       logit' = slope x logit + intercept: strictly rising, so the order of items stays as it was
Isotonic    a rising line through knots in logits; flat pieces are tilted a little, so that the order stays, too
Funnel      a later step is never likelier than the one before
Dimensions  C candidates, T tasks, K knots
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.features.events import FloatArray

SMALLEST_P = 1e-7
TILT = 1e-4
"""of a flat piece: logits it rises for each logit that goes in"""


@dataclass(frozen=True)
class Curve:
    """One step's calibration: logits in, logits out; beyond the knots the line goes on with slope 1."""

    logit_K: FloatArray
    calibrated_K: FloatArray

    def apply(self, logit_C: FloatArray) -> FloatArray:
        """Return the calibrated logits."""
        inside_C = np.clip(logit_C, self.logit_K[0], self.logit_K[-1])
        level_C = np.interp(inside_C, self.logit_K, self.calibrated_K)
        return (level_C + TILT * (logit_C - inside_C)).astype(np.float32)


@dataclass(frozen=True)
class Calibration:
    """The curves of all tasks, in their order."""

    curves: tuple[Curve, ...]

    def apply(self, p_CT: FloatArray) -> FloatArray:
        """Return the calibrated chances."""
        columns = [sigmoid(curve.apply(logit(p_CT[:, task]))) for task, curve in enumerate(self.curves)]
        return np.minimum.accumulate(np.stack(columns, axis=1), axis=1).astype(np.float32)

    def to_json(self) -> list[dict[str, list[float]]]:
        """Return plain values."""
        return [{"logit": curve.logit_K.tolist(), "calibrated": curve.calibrated_K.tolist()} for curve in self.curves]

    @staticmethod
    def from_json(stored: Sequence[Mapping[str, Any]]) -> "Calibration":
        """Return the calibration of `to_json`; ValueError when a curve falls or is not finite."""
        curves = []
        for entry in stored:
            curve = Curve(np.array(entry["logit"], np.float32), np.array(entry["calibrated"], np.float32))
            rising = len(curve.logit_K) >= 2 and (np.diff(curve.logit_K) > 0).all()
            if not (rising and (np.diff(curve.calibrated_K) >= 0).all() and np.isfinite(curve.calibrated_K).all()):
                raise ValueError("a calibration curve does not rise")
            curves.append(curve)
        return Calibration(tuple(curves))


def logit(p_C: FloatArray) -> FloatArray:
    """Return log-odds; certain chances are taken as nearly certain."""
    clipped_C = np.clip(p_C.astype(np.float64), SMALLEST_P, 1 - SMALLEST_P)
    return np.log(clipped_C / (1 - clipped_C)).astype(np.float32)


def sigmoid(logit_C: FloatArray) -> FloatArray:
    """Return the chance of log-odds."""
    return (1 / (1 + np.exp(-logit_C.astype(np.float64)))).astype(np.float32)
