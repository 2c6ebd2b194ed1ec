"""Why a chance is what it is: exact Shapley values of groups of features, in logits.

Called by   shared/models/multitask_scorer.py (return.explain = "shap", importance in the training report),
            benchmarks/ctr/fidelity.py
Method      baseline Shapley (Shapley 1953; Sundararajan and Najmi 2020): a group that is left out has its typical
            value: the mean of its numbers, unknown categories, no history. With G groups all 2^G coalitions are asked,
            so nothing is sampled: base + sum of the parts = logit of the chance, up to rounding
Cost        one call of the model for each coalition of the request's groups, with all coalitions of the item's as rows
Dimensions  S coalitions, G groups, T tasks
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import factorial
from typing import Any

import numpy as np

from shared.features.events import FloatArray, IntArray
from shared.features.user import USER_FEATURES
from shared.models.multitask_calibration import logit
from shared.models.multitask_inputs import RankerFields, RankerRows

HISTORY = "history"
NUMBER_GROUPS: Mapping[str, tuple[str, ...]] = {
    "taste": ("category_preference", "brand_preference"),
    "price": ("price_gap", "cheapness_wanted", "over_budget", "under_budget", "price_position", "log_price"),
    "again": ("repeat_count", "repeat_recency"),
    "popularity": ("log_popularity", "log_sales", "rating", "newness"),
}
GROUP_OF = {name: group for group, names in NUMBER_GROUPS.items() for name in names}
PROFILE = ("age_band", "gender")


@dataclass(frozen=True)
class Typical:
    """What a group that is left out is taken to be."""

    request_number_F: FloatArray
    item_number_F: FloatArray

    @staticmethod
    def of(rows: RankerRows) -> "Typical":
        """Return the means over rows."""
        return Typical(
            rows.request_number_RF.mean(axis=0, dtype=np.float64).astype(np.float32),
            rows.item_number_NF.mean(axis=0, dtype=np.float64).astype(np.float32),
        )


@dataclass(frozen=True)
class Contributions:
    """The parts of one task's logit."""

    base: float
    """logit of the typical candidate of a typical request"""
    parts: Mapping[str, float]

    @property
    def logit(self) -> float:
        """Return what the parts add up to."""
        return self.base + sum(self.parts.values())


@dataclass(frozen=True)
class Groups:
    """Which columns belong together."""

    request: tuple[str, ...]
    item: tuple[str, ...]
    request_numbers: tuple[str, ...]
    request_categories: tuple[str, ...]
    item_numbers: tuple[str, ...]
    item_categories: tuple[str, ...]
    """the group of each column"""

    @property
    def names(self) -> tuple[str, ...]:
        """Return all groups, the request's first."""
        return self.request + self.item

    @staticmethod
    def of(fields: RankerFields) -> "Groups":
        """Return the groups of the fields."""
        numbers = tuple(request_group(name) for name in fields.request_numbers)
        categories = tuple("profile" if field.name in PROFILE else "moment" for field in fields.request_categories)
        item_numbers = tuple(item_group(name) for name in fields.item_numbers)
        products = tuple("product" for _ in fields.item_categories)
        history = (HISTORY,) if fields.history else ()
        return Groups(
            tuple(dict.fromkeys((*numbers, *categories, *history))),
            tuple(dict.fromkeys((*item_numbers, *products))),
            numbers,
            categories,
            item_numbers,
            products,
        )


def request_group(name: str) -> str:
    """Return the group of one of the request's numbers."""
    return "shopper" if name in USER_FEATURES else "request"


def item_group(name: str) -> str:
    """Return the group of one of the candidate's numbers; scores of sources are what is left."""
    if name.endswith("_affinity") or name == "same_category_as_context":
        return "occasion"
    return "product" if name.startswith("department=") else GROUP_OF.get(name, "likeness")


def explain(
    chances: Callable[[RankerRows], FloatArray], rows: RankerRows, typical: Typical, fields: RankerFields
) -> list[Contributions]:
    """Return the parts of each task's logit for the ONE candidate of the rows."""
    groups = Groups.of(fields)
    request_SG, item_SG = coalitions(len(groups.request)), coalitions(len(groups.item))
    items = _items(rows, typical, groups, item_SG)
    logits = []
    for there_G in request_SG:
        request = _request(rows, typical, groups, dict(zip(groups.request, there_G.tolist(), strict=True)))
        logits.append(logit(chances(replace(items, **request))))
    logit_ST = np.concatenate(logits).astype(np.float64)
    part_GT = shapley(logit_ST, len(groups.names))
    return [
        Contributions(float(logit_ST[0, task]), dict(zip(groups.names, part_GT[:, task].tolist(), strict=True)))
        for task in range(logit_ST.shape[1])
    ]


def without(rows: RankerRows, typical: Typical, groups: Groups, left_out: Sequence[str]) -> RankerRows:
    """Return the ONE candidate of the rows with some groups taken to be typical."""
    there = {name: name not in left_out for name in groups.names}
    items = _items(rows, typical, groups, np.array([[there[name] for name in groups.item]], np.bool_))
    return replace(items, **_request(rows, typical, groups, there))


def coalitions(size: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return all subsets, the empty one first, the first group changing slowest."""
    return np.array(list(product((False, True), repeat=size)), np.bool_).reshape(2**size, size)


def shapley(value_ST: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    """Return [G, T]: the mean gain of each group over all orders in which groups can join."""
    there_SG = coalitions(size)
    count_S = there_SG.sum(axis=1)
    weight_K = np.array([factorial(k) * factorial(size - k - 1) / factorial(size) for k in range(size)])
    parts = []
    for group in range(size):
        with_S = np.flatnonzero(there_SG[:, group])
        without_S = with_S - 2 ** (size - 1 - group)
        gain_ST = value_ST[with_S] - value_ST[without_S]
        parts.append((weight_K[count_S[without_S]][:, None] * gain_ST).sum(axis=0))
    return np.stack(parts)


def _items(rows: RankerRows, typical: Typical, groups: Groups, there_SG: np.ndarray[Any, Any]) -> RankerRows:
    """Return the candidate once for each coalition of the item's groups."""
    size = len(there_SG)
    number_SF = np.where(_kept(there_SG, groups.item, groups.item_numbers), rows.item_number_NF, typical.item_number_F)
    category_SG = np.where(_kept(there_SG, groups.item, groups.item_categories), rows.item_category_NG, 0)
    nowhere_S = np.zeros(size, np.int32)
    return replace(
        rows,
        item_number_NF=number_SF.astype(np.float32),
        item_category_NG=category_SG.astype(np.int32),
        request_of_N=nowhere_S,
        position_N=nowhere_S,
    )


def _request(rows: RankerRows, typical: Typical, groups: Groups, there: Mapping[str, bool]) -> dict[str, Any]:
    """Return the request's arrays for one coalition."""
    numbers_F = np.array([there[group] for group in groups.request_numbers], np.bool_)
    categories_G = np.array([there[group] for group in groups.request_categories], np.bool_)
    known = int(there.get(HISTORY, True))
    return {
        "request_number_RF": np.where(numbers_F, rows.request_number_RF, typical.request_number_F).astype(np.float32),
        "request_category_RG": np.where(categories_G, rows.request_category_RG, 0).astype(np.int32),
        "history_category_RLH": rows.history_category_RLH * known,
        "history_type_RL": rows.history_type_RL * known,
        "history_age_s_RL": rows.history_age_s_RL * np.float32(known),
    }


def _kept(there_SG: np.ndarray[Any, Any], groups: Sequence[str], of_column: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return [S, F]: whether each column is its own in each coalition."""
    place: IntArray = np.array([groups.index(group) for group in of_column], np.int32)
    return there_SG[:, place]
