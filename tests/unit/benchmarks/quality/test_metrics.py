"""Metrics against hand-computed cases, and against a second implementation in plain Python."""

import math

import numpy as np
import pytest

from benchmarks.quality.metrics import ACCURACY, ListJudge, answer_block, ranks_of, seen_transitions
from benchmarks.quality.task import Questions
from services.training.examples.sequences import Sequences
from shared.models.tensors import History


def history(*codes: int) -> History:
    size = len(codes)
    return History(np.array(codes, np.int32), np.full(size, 6, np.int8), np.arange(size) * 1000, size * 1000)


def questions(histories: list[History], targets: list[list[int]], hide_seen: bool = True) -> Questions:
    answers = tuple(np.array(target, np.int32) for target in targets)
    return Questions(tuple(histories), answers, np.arange(len(histories)), hide_seen)


def log_of(*users: list[int]) -> Sequences:
    codes = np.array([code for user in users for code in user], np.int32)
    start_U1 = np.cumsum([0, *(len(user) for user in users)])
    zeros = np.zeros(len(codes), np.int64)
    return Sequences(start_U1, codes, np.full(len(codes), 6, np.int8), zeros, zeros, zeros)


def test_the_first_place_is_worth_everything() -> None:
    scores = np.array([[0.1, 0.9, 0.5]], np.float32)
    accuracy = answer_block(scores, questions([history(0)], [[1]])).accuracy_QM[0]
    assert accuracy.tolist() == [1, 1, 1, 1, 1]


def test_the_third_place_is_worth_half_a_gain_and_a_third() -> None:
    scores = np.array([[9.0, 8.0, 7.0, 6.0]], np.float32)
    accuracy = answer_block(scores, questions([history(3)], [[2]])).accuracy_QM[0]
    assert dict(zip(ACCURACY, accuracy, strict=True)) == {
        "hr@10": 1.0,
        "hr@50": 1.0,
        "ndcg@10": pytest.approx(1 / math.log2(4)),
        "ndcg@50": pytest.approx(0.5),
        "mrr": pytest.approx(1 / 3),
    }


def test_seen_items_do_not_take_a_place_unless_they_are_ranked_again() -> None:
    scores = np.array([[9.0, 8.0, 7.0, 6.0]], np.float32)
    hidden = answer_block(scores.copy(), questions([history(0, 1)], [[2]]))
    ranked = answer_block(scores.copy(), questions([history(0, 1)], [[2]], hide_seen=False))
    assert hidden.accuracy_QM[0, ACCURACY.index("mrr")] == 1
    assert ranked.accuracy_QM[0, ACCURACY.index("mrr")] == pytest.approx(1 / 3)
    assert hidden.top_QK[0].tolist() == [2, 3] + [-1] * 8
    assert ranked.top_QK[0].tolist() == [0, 1, 2, 3] + [-1] * 6


def test_ties_count_at_the_middle_of_the_places_they_share() -> None:
    assert ranks_of(np.array([2.0, 1.0, 1.0, 1.0], np.float32), np.array([2], np.int32)).tolist() == [2.0]
    assert ranks_of(np.zeros(11, np.float32), np.array([4], np.int32)).tolist() == [5.0]


def test_a_target_that_is_never_recommended_is_worth_nothing() -> None:
    scores = np.array([[1.0, -np.inf, 0.5]], np.float32)
    answers = answer_block(scores, questions([history(0)], [[1]]))
    assert answers.accuracy_QM[0].tolist() == [0, 0, 0, 0, 0]
    assert answers.top_QK[0, :2].tolist() == [2, -1]


def plain_accuracy(score_V: list[float], hidden: set[int], targets: list[int]) -> list[float]:
    """The second implementation: loops, no arrays."""
    ranks = []
    for target in targets:
        above = sum(1 for item, s in enumerate(score_V) if item not in hidden and s > score_V[target])
        equal = sum(1 for item, s in enumerate(score_V) if item not in hidden and s == score_V[target])
        ranks.append(above + (equal - 1) / 2)
    ranks.sort()

    def ndcg(k: int) -> float:
        gain = sum(1 / math.log2(rank + 2) for rank in ranks if rank < k)
        return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(ranks))))

    return [float(ranks[0] < 10), float(ranks[0] < 50), ndcg(10), ndcg(50), 1 / (ranks[0] + 1)]


def test_accuracy_equals_a_second_implementation() -> None:
    random = np.random.default_rng(1)
    score_BV = random.integers(0, 40, (60, 120)).astype(np.float32)
    histories = [history(*random.choice(120, 5, replace=False).tolist()) for _ in range(60)]
    targets = []
    for past in histories:
        free = np.setdiff1d(np.arange(120), past.code_L)
        targets.append(sorted(random.choice(free, int(random.integers(1, 14)), replace=False).tolist()))
    expected = [
        plain_accuracy(row.tolist(), set(past.code_L.tolist()), target)
        for row, past, target in zip(score_BV, histories, targets, strict=True)
    ]
    answers = answer_block(score_BV, questions(histories, targets))
    np.testing.assert_allclose(answers.accuracy_QM, expected, rtol=0, atol=1e-9)
    assert answers.accuracy_QM[:, 0].min() == 0  # the case tells hits from misses
    assert answers.accuracy_QM[:, 0].max() == 1


def test_lists_are_judged_by_hand() -> None:
    judge = ListJudge(log_of([0, 1], [0, 1], [0, 2]), 4)
    judged = judge.judge(np.array([[0, 1, -1], [0, 2, -1]], np.int32))
    # Item 0 has 3 events, item 1 two, item 2 one, item 3 none: p = (n + 1) / (6 + 4).
    assert judged["coverage@10"] == 3 / 4
    assert judged["popularity@10"] == pytest.approx((3 + 2 + 3 + 1) / 4)
    assert judged["novelty@10"] == pytest.approx(-(2 * math.log2(0.4) + math.log2(0.3) + math.log2(0.2)) / 4)
    # cosine(0, 1) = 2 / sqrt(3 * 2), cosine(0, 2) = 1 / sqrt(3 * 1)
    assert judged["diversity@10"] == pytest.approx(1 - (2 / math.sqrt(6) + 1 / math.sqrt(3)) / 2)


def test_list_metrics_equal_a_second_implementation() -> None:
    random = np.random.default_rng(2)
    users = [random.integers(0, 30, int(random.integers(1, 12))).tolist() for _ in range(40)]
    lists = np.stack([random.choice(30, 10, replace=False) for _ in range(25)]).astype(np.int32)
    taken = {item: {place for place, user in enumerate(users) if item in user} for item in range(30)}
    count = {item: sum(user.count(item) for user in users) for item in range(30)}
    events = sum(count.values())
    distances, popular, novel = [], [], []
    for items in lists.tolist():
        for place, left in enumerate(items):
            popular.append(count[left])
            novel.append(-math.log2((count[left] + 1) / (events + 30)))
            for right in items[place + 1 :]:
                both = len(taken[left] & taken[right])
                distances.append(1 - (both / math.sqrt(len(taken[left]) * len(taken[right])) if both else 0))
    judged = ListJudge(log_of(*users), 30).judge(lists)
    assert judged["diversity@10"] == pytest.approx(sum(distances) / len(distances), abs=1e-9)
    assert judged["popularity@10"] == pytest.approx(sum(popular) / len(popular), abs=1e-9)
    assert judged["novelty@10"] == pytest.approx(sum(novel) / len(novel), abs=1e-9)
    assert judged["coverage@10"] == len({item for items in lists.tolist() for item in items}) / 30


def test_a_transition_is_seen_when_somebody_went_from_the_newest_item_to_the_target() -> None:
    log = log_of([0, 1, 2], [2, 3])
    asked = questions([history(9, 0), history(0, 1), history(2), history(3), history(9)], [[1], [0], [3], [0], [0]])
    # 3 → 0 would join the two users' events: nobody went that way; item 9 is not in the log at all.
    assert seen_transitions(log, asked).tolist() == [True, False, True, False, False]
    assert seen_transitions(log, questions([history(2)], [[1, 3]])).tolist() == [True]
