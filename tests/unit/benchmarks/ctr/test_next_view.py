"""Views as questions: what stands beside the item that was viewed gives nothing away."""

import numpy as np

from benchmarks.ctr.data_sets.next_view import NEGATIVES, VIEW, ViewLog, next_views

EVENTS, ITEMS, WARM_UP = 400, 150, 20


def views_of_many_items() -> ViewLog:
    rng = np.random.default_rng(2)
    return ViewLog(
        rng.integers(0, 30, EVENTS),
        rng.integers(0, ITEMS, EVENTS),
        np.sort(rng.integers(0, 10**9, EVENTS)),
        np.full(EVENTS, VIEW, np.int8),
        np.arange(1, ITEMS + 1, dtype=np.int32)[:, None],
        [],
        6,
    )


def test_an_item_never_met_before_is_no_question_because_no_sampled_item_is_new():
    log = views_of_many_items()
    found = next_views(log, np.arange(WARM_UP, EVENTS), 7)
    events_N = found.rows.item_number_NF[:, found.item_names.index("item_events")]
    assert events_N.min() >= 1
    again = sum(log.item_E[place] in log.item_E[:place] for place in range(WARM_UP, EVENTS))
    assert again < EVENTS - WARM_UP
    assert found.viewed_N.sum() == len(found.user_R) == again


def test_a_viewed_item_comes_first_among_sampled_others():
    found = next_views(views_of_many_items(), np.arange(WARM_UP, EVENTS), 7)
    first_N = np.diff(found.rows.request_of_N, prepend=-1) > 0
    assert np.array_equal(found.viewed_N, first_N)
    viewed_R = found.item_N[first_N]
    assert not (found.item_N == viewed_R[found.rows.request_of_N])[~first_N].any()
    assert np.bincount(found.rows.request_of_N).max() == 1 + NEGATIVES
