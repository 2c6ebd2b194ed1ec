"""The retrieval index: what it finds against scoring everything, also among few, and that it knows its table."""

from dataclasses import replace

import numpy as np
import pytest

from shared.models import retrieval_index
from shared.models.retrieval_index import (
    Effort,
    ForeignIndexError,
    RetrievalIndex,
    build_index,
    exact_best,
    lifted_items,
    lifted_states,
    open_index,
    recall,
)

ITEMS, DIM = 30_000, 16


@pytest.fixture(scope="module")
def index() -> RetrievalIndex:
    """An index over items of different lengths, as trained ones are."""
    random = np.random.default_rng(1)
    kinds = random.normal(size=(300, DIM))
    item_VD = kinds[random.integers(0, 300, ITEMS)] + random.normal(scale=0.5, size=(ITEMS, DIM))
    item_VD *= random.uniform(0.5, 1.5, (ITEMS, 1))
    return build_index(item_VD.astype(np.float32), states(100, seed=2))


def states(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32) * 3


def test_the_best_hundred_are_found_for_states_the_index_was_not_built_with(index: RetrievalIndex) -> None:
    asked = states(50, seed=3)
    assert recall(index, asked, exact_best(index.item_VD, asked, 100)) >= 0.98
    assert index.effort.probes < index.cells.nlist


def test_scores_are_those_of_the_item_table_and_fall(index: RetrievalIndex) -> None:
    state_D = states(1, seed=4)[0]
    code_K, score_K = index.search(state_D, 20)
    np.testing.assert_allclose(score_K, index.item_VD[code_K] @ state_D, rtol=1e-5)
    assert (np.diff(score_K) <= 0).all()


@pytest.mark.parametrize("share", [0.9, 0.75, 0.3, 0.004])
def test_a_filter_neither_starves_the_list_nor_lets_a_forbidden_item_through(
    index: RetrievalIndex, share: float
) -> None:
    allowed_V = np.random.default_rng(5).random(ITEMS) < share
    asked = states(20, seed=6)
    lists = [index.search(state_D, 100, allowed_V)[0] for state_D in asked]
    assert all(len(codes) == 100 for codes in lists)
    assert all(allowed_V[codes].all() for codes in lists)
    assert recall(index, asked, exact_best(index.item_VD, asked, 100, allowed_V), allowed_V) >= 0.97


def test_items_allowed_only_where_a_search_does_not_look_first_are_found(
    index: RetrievalIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval_index, "FEW_ALLOWED", 0)
    frugal = replace(index, effort=Effort(1, 4))
    state_D = states(1, seed=7)[0]
    score_V = index.item_VD @ state_D
    allowed_V = score_V < np.quantile(score_V, 0.01)
    codes, _ = frugal.search(state_D, 100, allowed_V)
    assert len(codes) == 100
    assert allowed_V[codes].all()


def test_fewer_allowed_items_than_places_are_all_returned(index: RetrievalIndex) -> None:
    allowed_V = np.zeros(ITEMS, np.bool_)
    allowed_V[[3, 5, 8]] = True
    assert set(index.search(states(1, seed=8)[0], 100, allowed_V)[0].tolist()) == {3, 5, 8}


def test_lifted_items_have_one_length_and_the_products_they_had(index: RetrievalIndex) -> None:
    items, asked = np.asarray(index.item_VD[:500]), states(5, seed=9)
    radius = float(np.linalg.norm(items, axis=1).max())
    lifted_VE = lifted_items(items, radius)
    np.testing.assert_allclose(np.linalg.norm(lifted_VE, axis=1), radius, rtol=1e-5)
    np.testing.assert_allclose(lifted_states(asked) @ lifted_VE.T, asked @ items.T, rtol=1e-4, atol=1e-5)


def test_a_stored_index_answers_as_before(index: RetrievalIndex) -> None:
    again = open_index(index.to_bytes(), index.item_VD)
    state_D = states(1, seed=10)[0]
    np.testing.assert_array_equal(again.search(state_D, 50)[0], index.search(state_D, 50)[0])


def test_an_index_of_another_table_is_refused_by_name(index: RetrievalIndex) -> None:
    other = np.asarray(index.item_VD).copy()
    other[17, 3] += 1e-3
    with pytest.raises(ForeignIndexError, match="built for another item table"):
        open_index(index.to_bytes(), other)


def test_bytes_that_are_no_index_are_refused_by_name(index: RetrievalIndex) -> None:
    with pytest.raises(ForeignIndexError, match="not a retrieval index"):
        open_index(b"nothing of the kind" * 10, index.item_VD)
