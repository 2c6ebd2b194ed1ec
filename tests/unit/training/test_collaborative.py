"""The counted tables, each against a plain computation."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from services.training.collaborative.co_visitation import CoVisitationConfig, find_sessions, fit_co_visitation
from services.training.collaborative.interactions import taste_matrix
from services.training.collaborative.item_cf import damp_long_rows, fit_item_cf
from services.training.collaborative.popularity import fit_popularity, repeat_rate
from services.training.collaborative.svd import fit_svd
from services.training.collaborative.top_k import SplitMatrix, top_k_product
from services.training.collaborative.user_cf import MAX_ITEMS, fit_user_cf
from services.training.examples.sequences import build_sequences
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.models.sources.scores import taste
from tests.unit.training.small_logs import DAY_MS, every_row, log_of, random_log


def sequences_of(*shoppers: list[tuple[int, int]], items: int):  # type: ignore[no-untyped-def]
    return build_sequences(log_of(*shoppers), every_row(items))


def test_top_k_of_blocks_is_the_top_k_of_the_whole_product() -> None:
    random = np.random.default_rng(0)
    left = sp.random_array((700, 40), density=0.2, rng=random, dtype=np.float32).tocsr()
    right = sp.random_array((40, 700), density=0.2, rng=random, dtype=np.float32).tocsr()
    table = top_k_product(left, right, 10, lambda row, column, product: product, threads=2)
    whole = (left @ right).toarray()
    np.fill_diagonal(whole, 0)
    for row in range(0, 700, 37):
        expected = np.sort(whole[row])[::-1][:10]
        expected = expected[expected > 0]
        assert np.allclose(table.weight_VK[row][: len(expected)], expected)
        known = table.neighbour_VK[row] >= 0
        assert np.allclose(whole[row][table.neighbour_VK[row][known]], table.weight_VK[row][known])


def test_ties_go_to_the_lower_item_whatever_the_number_of_threads() -> None:
    ones = sp.csr_array(np.ones((3, 30), np.float32))
    tables = [
        top_k_product(sp.csr_array(ones.T), ones, 4, lambda row, column, product: product, threads)
        for threads in (1, 2)
    ]
    assert tables[0].neighbour_VK[5].tolist() == [0, 1, 2, 3]
    assert (tables[0].neighbour_VK == tables[1].neighbour_VK).all()


def test_full_columns_are_multiplied_as_dense_ones_to_the_same_table() -> None:
    random = np.random.default_rng(1)
    right = sp.random_array((900, 300), density=0.002, rng=random, dtype=np.float32).tolil()
    right[:, [3, 70, 299]] = random.random((900, 3), np.float32)
    right = sp.csr_array(right.tocsr())
    assert SplitMatrix.of(right).column_H.tolist() == [3, 70, 299]
    table = top_k_product(sp.csr_array(right.T), right, 300, lambda row, column, product: product)
    whole = (right.T @ right).toarray()
    np.fill_diagonal(whole, 0)
    found = np.zeros_like(whole)
    row_E, place_E = np.nonzero(table.neighbour_VK >= 0)
    found[row_E, table.neighbour_VK[row_E, place_E]] = table.weight_VK[row_E, place_E]
    assert np.allclose(found, whole, atol=1e-5)


def test_a_table_of_too_many_items_is_refused() -> None:
    wide = sp.csr_array((1, 2**25), dtype=np.float32)
    with pytest.raises(ValueError, match="33,554,432 columns"):
        top_k_product(sp.csr_array((1, 1), dtype=np.float32), wide, 1, lambda row, column, product: product)


def test_taste_matrix_is_the_taste_that_serving_computes() -> None:
    sequences = sequences_of([(0, 1), (DAY_MS * 40, 2), (DAY_MS * 41, 1)], [], [(5, 0)], items=3)
    matrix = taste_matrix(sequences, 3, half_life_days=30).toarray()
    for user, (start, stop) in enumerate(((0, 3), (3, 3), (3, 4))):
        expected = np.zeros(3)
        if stop > start:
            liked = taste(sequences.history(start, stop))
            expected[liked.code_C] = liked.score_C
        assert np.allclose(matrix[user], expected)


def test_item_cf_is_the_shrunk_cosine_of_damped_columns() -> None:
    log = random_log(40, 30, 25)
    matrix = taste_matrix(build_sequences(log, every_row(30)), 30, 90)
    table = fit_item_cf(matrix, neighbours=5, shrinkage=0.7)
    dense = damp_long_rows(matrix).toarray()
    length = np.linalg.norm(dense, axis=0)
    cosine = dense.T @ dense / (np.outer(length, length) + 0.7)
    np.fill_diagonal(cosine, 0)
    assert np.allclose(table.weight_VK, -np.sort(-cosine, axis=1)[:, :5], atol=1e-5)


def test_item_cf_neighbours_are_bought_by_the_same_shoppers() -> None:
    table = fit_item_cf(taste_matrix(build_sequences(random_log(60, 40, 30), every_row(40)), 40, 90), 10, 0.1)
    same_half = (table.neighbour_VK < 20) == (np.arange(40)[:, None] < 20)
    assert same_half[table.neighbour_VK >= 0].all()


def test_sessions_end_after_half_an_hour_and_with_the_shopper() -> None:
    minute = 60_000
    sequences = sequences_of([(0, 0), (20 * minute, 1), (51 * minute, 2)], [(51 * minute, 3)], items=4)
    assert find_sessions(sequences, 4).item_XV.toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_co_visitation_counts_pairs_in_a_basket_and_across_neighbouring_baskets() -> None:
    sequences = sequences_of([(0, 0), (0, 1), (DAY_MS, 2)], items=3)
    config = CoVisitationConfig(neighbours=2, half_life_days=1e9, next_share=0.5, shrinkage=0.0)
    table = fit_co_visitation(sequences, 3, config)
    assert table.neighbour_VK.tolist() == [[1, 2], [0, 2], [-1, -1]]
    assert np.allclose(table.weight_VK, [[1, 0.5], [1, 0.5], [0, 0]], atol=1e-6)


def test_co_visitation_forgets_the_next_basket_after_a_month() -> None:
    sequences = sequences_of([(0, 0), (31 * DAY_MS, 1)], items=2)
    table = fit_co_visitation(sequences, 2, CoVisitationConfig(neighbours=1))
    assert (table.neighbour_VK == -1).all()


def test_svd_scores_a_history_towards_its_own_half_of_the_shop() -> None:
    matrix = taste_matrix(build_sequences(random_log(60, 40, 30), every_row(40)), 40, 90)
    factor_VF = fit_svd(matrix, factors=4, damping=0.0, seed=1).factor_VF
    score_V = factor_VF @ factor_VF[:5].sum(axis=0)
    assert score_V[:20].mean() > 5 * abs(score_V[20:].mean())


def test_svd_is_repeatable_and_survives_a_shop_smaller_than_its_factors() -> None:
    matrix = taste_matrix(build_sequences(random_log(6, 8, 10), every_row(8)), 8, 90)
    one, two = (fit_svd(matrix, factors=64, damping=0.3, seed=1).factor_VF for _ in range(2))
    assert one.shape == (8, 5)
    assert (one == two).all()


def test_sample_histories_are_unit_rows_with_an_index_that_is_their_transpose() -> None:
    matrix = taste_matrix(build_sequences(random_log(20, 30, 40), every_row(30)), 30, 90)
    table = fit_user_cf(matrix, seed=3)
    rows = sp.csr_array((table.weight_E, table.item_E, table.start_S1), shape=(20, 30))
    index = sp.csr_array((table.posting_weight_P, table.history_P, table.posting_start_V1), shape=(30, 20))
    assert np.allclose(rows.toarray(), index.toarray().T)
    assert np.allclose(np.linalg.norm(rows.toarray(), axis=1), 1)


def test_sample_histories_are_shuffled_bounded_and_leave_out_shoppers_without_events() -> None:
    wide = [(place, place) for place in range(MAX_ITEMS + 50)]
    matrix = taste_matrix(sequences_of(wide, [], [(1, 0)], [(1, 1)], items=MAX_ITEMS + 50), MAX_ITEMS + 50, 90)
    assert len(fit_user_cf(matrix, seed=0).start_S1) == 4
    assert np.diff(fit_user_cf(matrix, seed=0).start_S1).max() == MAX_ITEMS
    assert len(fit_user_cf(matrix, seed=0, max_histories=2).start_S1) == 3
    orders = {tuple(np.diff(fit_user_cf(matrix, seed=seed).start_S1)) for seed in range(8)}
    assert len(orders) > 1


def test_popularity_halves_with_age_and_lists_each_category() -> None:
    sequences = sequences_of([(0, 0), (14 * DAY_MS, 1), (14 * DAY_MS, 2)], items=3)
    table = fit_popularity(sequences, np.array([0, 1, -1], np.int32), 2, half_life_days=14)
    assert table.weight_V.tolist() == pytest.approx([0.5, 1, 1])
    assert table.top_TM.tolist() == [[1, 2, 0], [0, -1, -1], [1, -1, -1]]


def test_repeat_rate_is_the_share_of_buyers_who_came_back_for_the_item() -> None:
    sequences = sequences_of([(1, 0), (1, 0), (2, 1)], [(1, 0), (3, 0)], [(5, 1), (6, 1)], items=3)
    everything_E = np.ones(len(sequences), np.bool_)
    assert repeat_rate(sequences, everything_E, 3).tolist() == [0.5, 0.5, 0]


def test_a_look_before_the_purchase_makes_no_consumable() -> None:
    sequences = sequences_of([(1, 0), (2, 0), (1, 1), (2, 1)], items=2)
    looked_E = (sequences.code_E == 0) & (sequences.at_ms_E == 1)
    types_E = np.where(looked_E, EVENT_TYPE_CODES[EventType.VIEW], sequences.type_E).astype(np.int8)
    table = fit_popularity(replace(sequences, type_E=types_E), np.array([0, 0], np.int32), 1, half_life_days=14)
    assert table.repeat_rate_V.tolist() == [0, 1]
