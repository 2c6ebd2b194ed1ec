"""What a candidate is worth to the shop: one value out of the chances of a click and a purchase, and the price.

Called by   services/ranking/rerank/rerank.py
In          score_C, the fused score; Chances when the bundle has a multi-task ranker; the weights of the request,
            else of its scenario
Out         Worth: value_C, by which the list is ordered, and what could not be done as asked
Value       without weights the fused score itself. With weights the mean of what the shop gets from showing the item,
            click · p_click + purchase · p_purchase + revenue · p_purchase · price, prices in units of their median;
            an item without a price brings no revenue
Fallback    weights but no chances: the fused score, and the notice says so. No chance is ever made up
Dimensions  C candidates
"""

from dataclasses import dataclass

import numpy as np

from shared.contracts.recommendation import Objective
from shared.features.events import FloatArray

NO_CHANCES = "objective_unavailable"
NOT_FINITE = "score_not_finite"


@dataclass(frozen=True)
class Chances:
    """What a multi-task ranker expects if the candidate is shown; p_purchase is of the impression, not of the click."""

    click_C: FloatArray
    purchase_C: FloatArray | None
    """None where nothing was ever bought in the training data"""


@dataclass(frozen=True)
class Worth:
    """A finite value for every candidate."""

    value_C: FloatArray
    notices: tuple[str, ...] = ()


def worth(score_C: FloatArray, chances: Chances | None, price_C: FloatArray, wanted: Objective | None) -> Worth:
    """Return the value of each candidate under the objective."""
    if wanted is None:
        return _finite(score_C, ())
    needs_purchase = wanted.purchase > 0 or wanted.revenue > 0
    if chances is None or (needs_purchase and chances.purchase_C is None):
        return _finite(score_C, (NO_CHANCES,))
    value_C = wanted.click * chances.click_C
    if chances.purchase_C is not None:
        value_C = value_C + chances.purchase_C * (wanted.purchase + wanted.revenue * _relative(price_C))
    return _finite(value_C.astype(np.float32), ())


def _relative(price_C: FloatArray) -> FloatArray:
    """Return prices in units of the candidates' median price, so that a weight means the same in every currency."""
    known = price_C[np.isfinite(price_C)]
    unit = float(np.median(known)) if len(known) else 0.0
    relative_C: FloatArray = np.nan_to_num(price_C / max(unit, 0.01), nan=0.0, posinf=0.0, neginf=0.0)
    return relative_C


def _finite(value_C: FloatArray, notices: tuple[str, ...]) -> Worth:
    """Put candidates without a finite value last; a reply never holds NaN."""
    finite_C = np.isfinite(value_C)
    if finite_C.all():
        return Worth(value_C, notices)
    least = float(value_C[finite_C].min()) if finite_C.any() else 0.0
    return Worth(np.where(finite_C, value_C, np.float32(least)), (*notices, NOT_FINITE))
