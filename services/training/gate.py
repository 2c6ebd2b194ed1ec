"""The promotion gate: may this model take over? The answer is a verdict and the sentences that explain it.

Called by   services/training/pipeline.py
Rules       1. better than popularity, the floor, by a clear margin, on NDCG@10 of all targets
            2. not clearly worse than the model that serves now
            3. its lists are finite and show more than a handful of items
Fair        the serving model is asked the same questions when it has not seen the test period; else only the numbers of
            its own evaluation are there to compare, and the verdict says so
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.training.evaluation.lists import FLOOR, FUSED
from services.training.run_request import Promotion

METRIC = "NDCG@10"
FLOOR_MARGIN = 1.05
"""the model must reach this many times the floor"""
LOSS_ALLOWED = 0.97
"""and this share of the serving model: a test week is a sample, and 3 % is within its noise"""
MIN_COVERAGE_RATIO = 2.0
"""distinct items in all lists, as a multiple of the floor's: less is one list for everybody"""


@dataclass(frozen=True)
class Rival:
    """What the model that serves now achieves."""

    version: str
    score: float
    same_questions: bool
    """false: measured on another test period"""


@dataclass(frozen=True)
class Verdict:
    """Whether to promote, and why, in words."""

    promoted: bool
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "reasons": list(self.reasons), "summary": self.summary}

    @property
    def summary(self) -> str:
        """Return the verdict as one line."""
        return ("Promoted: " if self.promoted else "Not promoted: ") + "; ".join(self.reasons) + "."


def judge(evaluation: Mapping[str, Any], rival: Rival | None, promotion: Promotion = "auto") -> Verdict:
    """Judge a model by its offline evaluation; "always" and "never" are orders; reasons are told all the same."""
    checks = [_beats_floor(evaluation), _varies(evaluation), _against(score_of(evaluation), rival)]
    passed = all(good for good, _ in checks)
    reasons = tuple(text for good, text in checks if good == passed)
    if promotion == "never":
        return Verdict(False, ("by order", *reasons))
    if promotion == "always" and not passed:
        return Verdict(True, ("by order", *reasons))
    return Verdict(passed, reasons)


def score_of(evaluation: Mapping[str, Any], source: str = FUSED) -> float:
    """Return the number that decides."""
    return _number(evaluation, source, METRIC)


def _beats_floor(evaluation: Mapping[str, Any]) -> tuple[bool, str]:
    score, floor = score_of(evaluation), score_of(evaluation, FLOOR)
    passed = score > 0 and score >= FLOOR_MARGIN * floor
    compared = f"NDCG@10 is {score:.4f} against {floor:.4f} of the popular list"
    return passed, compared if passed else f"{compared}, and {FLOOR_MARGIN:g} times that is asked for"


def _varies(evaluation: Mapping[str, Any]) -> tuple[bool, str]:
    shown = {name: _number(evaluation, name, "coverage") for name in (FUSED, FLOOR)}
    passed = shown[FUSED] >= min(MIN_COVERAGE_RATIO * shown[FLOOR], 0.5)
    text = f"its first ten places show {shown[FUSED]:.1%} of the catalogue"
    return passed, text if passed else f"{text}, hardly more than the popular list"


def _against(score: float, rival: Rival | None) -> tuple[bool, str]:
    if rival is None:
        return True, "no model serves yet"
    where = "on the same questions" if rival.same_questions else "on its own, earlier or overlapping, test period"
    text = f"model {rival.version} reaches {rival.score:.4f} {where}"
    return score >= LOSS_ALLOWED * rival.score, text


def _number(evaluation: Mapping[str, Any], source: str, metric: str) -> float:
    """Return a number of the table of all targets, 0 when it is not there."""
    rows = [row for row in evaluation.get("rows", ()) if row["source"] == source]
    return float(rows[0].get(metric, 0.0)) if rows else 0.0
