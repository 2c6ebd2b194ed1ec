"""Markov and sequential item-kNN: what is counted, and what the serving source makes of it."""

from dataclasses import replace

import numpy as np
import pytest

from services.training.collaborative.transitions import (
    BOTH_WAYS,
    MARKOV,
    MINUTE_MS,
    TransitionConfig,
    count_pairs,
    find_steps,
    fit_transitions,
)
from services.training.examples.sequences import Sequences, build_sequences
from shared.models.sources.transitions import MAX_VOTES, TransitionSource
from shared.models.tables import ItemNeighbours, Transitions
from shared.models.tensors import History
from tests.unit.training.small_logs import every_row, log_of, random_log

PLAIN = TransitionConfig(neighbours=5, window=3, decay=0.5, from_power=0.0, to_power=0.0)


def sequences_of(*shoppers: list[tuple[int, int]], items: int) -> Sequences:
    return build_sequences(log_of(*shoppers), every_row(items))


def dense(table: ItemNeighbours, items: int) -> np.ndarray:  # type: ignore[type-arg]
    """Return the table as a full matrix."""
    weight_VV = np.zeros((items, items))
    row_E, place_E = np.nonzero(table.neighbour_VK >= 0)
    weight_VV[row_E, table.neighbour_VK[row_E, place_E]] = table.weight_VK[row_E, place_E]
    return weight_VV


def test_markov_is_the_shrunk_share_of_each_next_item() -> None:
    sequences = sequences_of([(1, 0), (2, 1), (3, 0), (4, 1)], [(1, 0), (2, 2)], items=3)
    table = fit_transitions(sequences, 3, replace(MARKOV, neighbours=2))
    assert table.neighbour_VK.tolist() == [[1, 2], [0, -1], [-1, -1]]
    assert np.allclose(table.weight_VK, [[2 / 4, 1 / 4], [1 / 2, 0], [0, 0]])
    assert table.vote_S.tolist() == [1]


def test_pairs_count_less_with_every_step_and_not_beyond_the_window_or_the_shopper() -> None:
    sequences = sequences_of([(time, time) for time in range(5)], [(1, 5)], items=6)
    first = dense(fit_transitions(sequences, 6, PLAIN), 6)[0]
    assert first.tolist() == [0, 1, 0.5, 0.25, 0, 0]


def test_pairs_are_those_of_plain_loops_over_baskets() -> None:
    config = TransitionConfig(30, window=4, decay=0.7, backward=0.3, together=0.2, from_power=0.5, to_power=0.25)
    sequences = build_sequences(random_log(12, 20, 9), every_row(20))
    expected = np.zeros((20, 20))
    for start, stop in zip(sequences.start_U1[:-1], sequences.start_U1[1:], strict=True):
        times = sorted(set(sequences.at_ms_E[start:stop].tolist()))
        at = sequences.at_ms_E[start:stop]
        baskets = [sequences.code_E[start:stop][at == time].tolist() for time in times]
        for one, basket in enumerate(baskets):
            for two, other in enumerate(baskets):
                if abs(two - one) > config.window:
                    continue
                weight = config.together if one == two else config.decay ** (abs(two - one) - 1)
                weight *= config.backward if two < one else 1
                for item in basket:
                    for follower in other:
                        expected[item, follower] += weight / np.sqrt(len(basket) * len(other))
    from_V, to_V = expected.sum(axis=1) + config.shrinkage, expected.sum(axis=0) + config.shrinkage
    expected /= from_V[:, None] ** config.from_power * to_V**config.to_power
    np.fill_diagonal(expected, 0)
    assert np.allclose(dense(fit_transitions(sequences, 20, config, threads=2), 20), expected, atol=1e-5)


def test_a_pair_loses_weight_with_the_time_between_its_steps_and_keeps_the_far_share() -> None:
    sequences = sequences_of([(0, 0), (2 * MINUTE_MS, 1), (60 * MINUTE_MS, 2)], items=3)
    config = replace(PLAIN, backward=1.0, decay=1.0, near_min=2.0, far=0.2)
    pairs = dense(fit_transitions(sequences, 3, config), 3)
    assert np.allclose(pairs, [[0, 0.6, 0.2], [0.6, 0, 0.2], [0.2, 0.2, 0]], atol=1e-6)
    assert (dense(fit_transitions(sequences, 3, replace(config, far=1.0)), 3) == 1 - np.eye(3)).all()


def test_a_basket_stored_second_by_second_is_told_from_what_came_days_later() -> None:
    basket_then_another = [(0, 0), (1000, 1), (10**9, 2)]
    sequences = sequences_of(*[basket_then_another] * 3, items=3)
    table = fit_transitions(sequences, 3, BOTH_WAYS)
    assert table.neighbour_VK[:2, :2].tolist() == [[1, 2], [0, 2]]
    assert (table.weight_VK[:2, 0] > 3 * table.weight_VK[:2, 1]).all()


def test_steps_without_a_neighbour_make_no_pairs() -> None:
    assert count_pairs(find_steps(sequences_of([(1, 0)], [(1, 1)], [(1, 2)], items=3), 3), BOTH_WAYS).nnz == 3
    assert count_pairs(find_steps(sequences_of([(1, 0)], [(1, 1)], [(1, 2)], items=3), 3), PLAIN).nnz == 0
    assert (fit_transitions(sequences_of([], items=3), 3, MARKOV).neighbour_VK == -1).all()


@pytest.mark.parametrize("values", [{"window": 0}, {"decay": 0.0}, {"decay": 1.5}])
def test_a_window_or_decay_that_means_nothing_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="window of at least 1 and a decay"):
        TransitionConfig(**values)  # type: ignore[arg-type]


def voted(*vote_S: float) -> TransitionSource:
    """Return a source of four items whose last steps have these votes."""
    neighbour_VK = np.array([[1, 2], [2, -1], [3, 0], [0, -1]], np.int32)
    weight_VK = np.array([[0.5, 0.25], [1, 0], [0.5, 0.5], [1, 0]], np.float32)
    return TransitionSource("item_knn", Transitions(neighbour_VK, weight_VK, np.array(vote_S, np.float32)))


def history_of(*events: tuple[int, int]) -> History:
    """Return (time, code) events as a history."""
    at_ms, code = np.array(events, np.int64).reshape(-1, 2).T
    return History(code.astype(np.int32), np.full(len(code), 6, np.int8), at_ms, 99)


def test_the_newest_step_votes_most_and_a_basket_is_one_step() -> None:
    scores = voted(1, 0.5).scores(history_of((1, 3), (2, 0), (3, 1), (3, 2)))
    assert scores.top(10, None).tolist() == [2, 0, 3, 1]
    assert np.allclose(scores.at(np.arange(4, dtype=np.int32)), [0.5, 0.25, 1 + 0.125, 0.5])


def test_an_item_that_came_twice_votes_once_at_its_newest() -> None:
    assert voted(1, 0.5, 0.25).voters(history_of((1, 0), (2, 1), (3, 0))).score_C.tolist() == [1, 0.5]


def test_only_the_newest_hundred_events_vote_and_those_beyond_the_steps_do_not() -> None:
    long = history_of((1, 3), *((2, 0) for _ in range(MAX_VOTES - 1)), (3, 1))
    assert voted(*np.ones(5)).voters(long).code_C.tolist() == [0, 1]
    assert voted(1).voters(long).code_C.tolist() == [1]


def test_the_item_named_is_the_one_whose_vote_weighed_most() -> None:
    history, asked = history_of((1, 0), (2, 2), (3, 3)), np.array([0, 1, 2, 3], np.int32)
    assert voted(1, 0.9, 0.8).because(history, asked).tolist() == [3, 0, 0, 2]
    assert voted(1).because(history, asked).tolist() == [3, -1, -1, -1]
    assert voted(1).because(history_of(), asked).tolist() == [-1] * 4


def test_markov_asks_the_last_step_only_and_nothing_for_an_empty_history() -> None:
    source = voted(1)
    assert source.scores(history_of((1, 0), (2, 1))).top(10, None).tolist() == [2]
    assert not len(source.scores(history_of()).top(10, None))
