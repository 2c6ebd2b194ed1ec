"""The three ways to variety take what their definitions take, and more strength means more variety."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from services.ranking.rerank.business_rules import CapCounts
from services.ranking.rerank.diversity import (
    LEAST_LEFT,
    ByRelevance,
    Calibrated,
    Dpp,
    Likeness,
    Mmr,
    Variety,
    relevance_weight,
)
from services.ranking.rerank.selection import Fixed, Selection
from tests.unit.ranking.rerank import plain

SIZE, WIDTH, LIMIT = 40, 6, 8
ROWS = np.arange(SIZE, dtype=np.int32)


def shop(seed: int) -> Any:
    """Return made-up columns: relevance, content, two levels of categories, some of them unknown."""
    random = np.random.default_rng(seed)
    vector_CD = np.abs(random.normal(size=(SIZE, WIDTH))).astype(np.float32)
    vector_CD /= np.linalg.norm(vector_CD, axis=1, keepdims=True)
    vector_CD[:3] = 0  # items without any text
    top_C = random.integers(0, 4, SIZE).astype(np.int32)
    leaf_C = np.where(top_C > 0, 4 + 3 * top_C + random.integers(0, 3, SIZE), 0).astype(np.int32)
    relevance_C = random.normal(size=SIZE).astype(np.float32)
    catalogue = SimpleNamespace(top_category_N=top_C, leaf_category_N=leaf_C)
    return SimpleNamespace(
        catalogue=catalogue,
        vector_CD=vector_CD,
        relevance_C=relevance_C,
        kernel=plain.kernel(vector_CD.tolist(), top_C.tolist(), leaf_C.tolist()),
    )


def fill(variety: Variety, limit: int = LIMIT) -> list[int]:
    return Selection(variety, Fixed({}, ()), CapCounts([]), SIZE).fill(limit)


def dpp(made: Any, strength: float) -> list[int]:
    base_C = made.relevance_C * np.float32(relevance_weight(strength))
    return fill(Dpp(base_C, Likeness.of(made.catalogue, ROWS, made.vector_CD, LIMIT), strength, LIMIT))


@pytest.mark.parametrize("seed", range(5))
def test_likeness_is_what_its_definition_says_and_a_kernel(seed: int) -> None:
    made = shop(seed)
    likeness = Likeness.of(made.catalogue, ROWS, made.vector_CD)
    product = np.array([likeness.to(place) for place in range(SIZE)], np.float64)
    np.fill_diagonal(product, 1)
    kernel = (1 - LEAST_LEFT) * np.array(made.kernel) + LEAST_LEFT * np.eye(SIZE)
    assert np.abs(product - kernel).max() < 1e-6
    assert np.linalg.eigvalsh(product).min() > -1e-6


@pytest.mark.parametrize("strength", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_dpp_takes_what_determinants_say(seed: int, strength: float) -> None:
    made = shop(seed)
    kernel = (1 - LEAST_LEFT) * np.array(made.kernel) + LEAST_LEFT * np.eye(SIZE)
    base = (made.relevance_C * relevance_weight(strength)).tolist()
    assert dpp(made, strength) == plain.dpp(base, kernel.tolist(), strength, LIMIT)


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_mmr_takes_what_its_definition_says(seed: int, strength: float) -> None:
    made = shop(seed)
    base_C = made.relevance_C * np.float32(relevance_weight(strength))
    found = fill(Mmr(base_C, Likeness.of(made.catalogue, ROWS, made.vector_CD), strength))
    kernel = (1 - LEAST_LEFT) * np.array(made.kernel)
    assert found == plain.mmr(base_C.tolist(), kernel.tolist(), strength, LIMIT)


@pytest.mark.parametrize("strength", [0.2, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_calibrated_takes_what_its_definition_says(seed: int, strength: float) -> None:
    made = shop(seed)
    wanted_T = np.array([0, 0.6, 0.3, 0.1], np.float32)
    category = made.catalogue.top_category_N
    found = fill(Calibrated(made.relevance_C, category, wanted_T, strength, LIMIT))
    wanted = {"1": 0.6, "2": 0.3, "3": 0.1}
    assert found == plain.calibrated(made.relevance_C.tolist(), list(map(str, category)), wanted, strength, LIMIT)


def test_calibrated_list_has_the_shoppers_mix() -> None:
    made = shop(0)
    wanted_T = np.array([0, 0.5, 0.25, 0.25], np.float32)
    found = fill(Calibrated(made.relevance_C, made.catalogue.top_category_N, wanted_T, 1.0, LIMIT))
    shown = np.bincount(made.catalogue.top_category_N[found], minlength=4)
    assert shown.tolist() == [0, 4, 2, 2]


def test_more_strength_means_less_likeness_within_the_list() -> None:
    made = shop(1)
    kernel = np.array(made.kernel)

    def likeness(chosen: list[int]) -> float:
        inside = kernel[np.ix_(chosen, chosen)]
        return float((inside.sum() - len(chosen)) / (len(chosen) * (len(chosen) - 1)))

    values = [likeness(dpp(made, strength)) for strength in (0.01, 0.3, 0.6, 0.9, 1.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 2


def test_full_strength_still_begins_with_the_most_relevant() -> None:
    made = shop(2)
    assert dpp(made, 1.0)[0] == int(made.relevance_C.argmax())


def test_without_variety_relevance_alone_orders() -> None:
    made = shop(3)
    assert fill(ByRelevance(made.relevance_C)) == np.argsort(-made.relevance_C, kind="stable")[:LIMIT].tolist()


def test_the_same_item_many_times_over_neither_breaks_nor_fills_the_list() -> None:
    made = shop(4)
    made.vector_CD[5:25] = made.vector_CD[5]
    made.catalogue.top_category_N[5:25] = 1
    made.catalogue.leaf_category_N[5:25] = 7
    made.relevance_C[5:25] = 3.0
    found = dpp(made, 0.8)
    assert sum(5 <= place < 25 for place in found) == 1
    whole = Dpp(made.relevance_C, Likeness.of(made.catalogue, ROWS, made.vector_CD, SIZE), 0.5, SIZE)
    assert sorted(fill(whole, SIZE)) == list(range(SIZE))
    assert np.isfinite(whole.gain_C()).all()
