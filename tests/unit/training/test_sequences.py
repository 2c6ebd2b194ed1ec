"""Windows, queries and targets of the sequence Transformer."""

import numpy as np
import pytest

from services.training.examples.sequences import batch_bounds, build_sequences, cut_windows, make_batch, windows_of
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.models.tensors import collate
from tests.unit.training.small_logs import every_row, log_of, random_log


def test_target_is_an_item_of_the_next_distinct_time_never_of_the_same_basket() -> None:
    log = log_of([(10, 0), (10, 1), (20, 2), (20, 3), (30, 4)])
    sequences = build_sequences(log, every_row(5))
    assert sequences.next_start_E.tolist() == [2, 2, 4, 4, 5]
    assert sequences.next_stop_E.tolist() == [4, 4, 5, 5, 5]


def test_last_basket_of_a_shopper_has_no_next_even_when_another_shopper_follows() -> None:
    sequences = build_sequences(log_of([(10, 0)], [(20, 1), (30, 2)]), every_row(3))
    assert (sequences.next_stop_E - sequences.next_start_E).tolist() == [0, 1, 0]


def test_only_the_last_event_of_a_basket_asks_and_gets_all_items_of_the_next() -> None:
    log = log_of([(10, 0), (10, 1), (20, 2), (20, 3), (20, 4)])
    sequences = build_sequences(log, every_row(5))
    batch = make_batch(sequences, np.array([[0, 5]]), 8, np.random.default_rng(0))
    assert (batch.row_Q.tolist(), batch.place_Q.tolist()) == ([0], [1])
    assert sorted(batch.target_QM[batch.target_mask_QM].tolist()) == [2, 3, 4]
    assert batch.windows.age_s_BL[0, 1] - batch.query_age_s_BL[0, 1] == pytest.approx(0.010)


def test_targets_beyond_the_limit_are_drawn_without_repetition_and_all_get_their_turn() -> None:
    log = log_of([(10, 0), *((20, row) for row in range(1, 7))])
    sequences = build_sequences(log, every_row(7))
    seen: set[int] = set()
    for seed in range(40):
        batch = make_batch(sequences, np.array([[0, 7]]), 2, np.random.default_rng(seed))
        drawn = batch.target_QM[batch.target_mask_QM].tolist()
        assert len(set(drawn)) == 2
        seen |= set(drawn)
    assert seen == {1, 2, 3, 4, 5, 6}


def test_events_that_speak_against_an_item_and_unknown_items_are_left_out() -> None:
    refund = EVENT_TYPE_CODES[EventType.REFUND]
    assert len(build_sequences(log_of([(1, 0), (2, 1)], type_code=refund), every_row(2))) == 0
    assert len(build_sequences(log_of([(1, -1), (2, 0)]), every_row(1))) == 1
    assert len(build_sequences(log_of([(1, 0), (2, 1)]), np.array([-1, 0], np.int32))) == 1


def test_windows_cover_every_event_once_and_stay_within_the_length() -> None:
    sequences = build_sequences(random_log(9, 20, 50), every_row(20))
    windows = cut_windows(sequences, 16, np.random.default_rng(3))
    assert (windows[:, 1] - windows[:, 0]).max() <= 16
    covered = np.concatenate([np.arange(start, stop) for start, stop in windows])
    assert len(covered) == len(set(covered.tolist()))
    asks = np.flatnonzero(sequences.next_stop_E > sequences.next_start_E)
    assert set(asks.tolist()) <= set(covered.tolist())


def test_batches_hold_every_window_once_and_at_most_the_wanted_tokens() -> None:
    sequences = build_sequences(random_log(30, 20, 40), every_row(20))
    windows = cut_windows(sequences, 16, np.random.default_rng(1))
    batches = batch_bounds(windows, 64, np.random.default_rng(2))
    assert sorted(map(tuple, np.concatenate(batches).tolist())) == sorted(map(tuple, windows.tolist()))
    assert all(len(batch) * (batch[:, 1] - batch[:, 0]).max() <= 64 for batch in batches)


def test_with_a_start_only_windows_with_newer_answers_are_cut() -> None:
    sequences = build_sequences(log_of([(10, 0), (20, 1)], [(10, 2), (90, 3)]), every_row(4))
    windows = cut_windows(sequences, 8, np.random.default_rng(0), from_ms=50)
    assert windows.tolist() == [[2, 4]]


def test_shares_of_a_batch_hold_its_queries_between_them() -> None:
    sequences = build_sequences(random_log(5, 20, 30), every_row(20))
    windows = cut_windows(sequences, 16, np.random.default_rng(1))
    batch = make_batch(sequences, windows[:7], 4, np.random.default_rng(1))
    shares = [batch.share(rank, 2) for rank in range(2)]
    assert sum(len(share.row_Q) for share in shares) == len(batch.row_Q)
    for rank, share in enumerate(shares):
        assert (share.windows.code_BL == batch.windows.code_BL[rank::2]).all()
        assert share.row_Q.max(initial=0) < len(share.windows.code_BL)


def test_a_share_of_too_small_a_batch_has_a_window_but_no_query() -> None:
    sequences = build_sequences(log_of([(10, 0), (20, 1)]), every_row(2))
    share = make_batch(sequences, np.array([[0, 2]]), 4, np.random.default_rng(0)).share(1, 2)
    assert (len(share.windows.code_BL), len(share.row_Q)) == (1, 0)


def test_windows_are_what_serving_makes_of_the_same_events() -> None:
    sequences = build_sequences(random_log(9, 20, 50), every_row(20))
    window_B2 = cut_windows(sequences, 16, np.random.default_rng(3))
    found, event_BL = windows_of(sequences, window_B2)
    expected = collate([sequences.history(start, stop) for start, stop in window_B2.tolist()], 16)
    for name, array in vars(expected).items():
        assert (getattr(found, name) == array).all(), name
        assert getattr(found, name).dtype == array.dtype
    assert (sequences.code_E[event_BL][found.mask_BL] == found.code_BL[found.mask_BL]).all()


def test_a_history_one_event_too_long_is_cut_in_two_and_one_that_fits_is_not() -> None:
    sequences = build_sequences(log_of([(at, at) for at in range(5)], [(at, at) for at in range(4)]), every_row(5))
    windows = [cut_windows(sequences, 4, np.random.default_rng(seed)).tolist() for seed in range(20)]
    assert all([5, 9] in found for found in windows)
    assert {found[0][1] for found in windows} == {1, 2, 3, 4}
