"""Ranking metrics against plain definitions."""

import numpy as np
import pytest

from services.training.evaluation import metrics
from services.training.evaluation.lists import ScoredItems
from services.training.evaluation.metrics import Standing
from services.training.sequence.validation import ndcg_of_top

SCORES = np.array([0.9, 0.1, 0.5, 0.5, 0.2], np.float32)


def test_rank_is_the_number_of_better_items_and_ties_count_at_the_middle() -> None:
    assert Standing.of(SCORES, np.array([0, 1]), 5).ranks().tolist() == [0, 4]
    assert Standing.of(SCORES, np.array([2]), 5).ranks().tolist() == [1.5]


def test_items_without_a_score_share_the_last_places() -> None:
    assert Standing.of(SCORES, np.array([-1]), 10).ranks().tolist() == [7]
    assert Standing.of(np.empty(0, np.float32), np.array([-1]), 11).ranks().tolist() == [5]


def test_metrics_of_a_known_list() -> None:
    rank_T = np.array([1.0, 4.0, 60.0])
    assert metrics.hit_rate(rank_T, 1) == 0
    assert metrics.hit_rate(rank_T, 2) == 1
    assert metrics.recall(rank_T, 10) == pytest.approx(2 / 3)
    assert metrics.reciprocal_rank(rank_T) == 0.5
    gain, best = 1 / np.log2(3) + 1 / np.log2(6), 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert metrics.ndcg(rank_T, 10) == pytest.approx(gain / best)


def test_perfect_list_has_ndcg_and_auc_of_one_even_with_more_targets_than_places() -> None:
    rank_T = np.arange(25.0)
    assert metrics.ndcg(rank_T, 10) == pytest.approx(1)
    assert metrics.recall(rank_T, 10) == 1
    assert metrics.auc(rank_T, 100) == 1


def test_auc_is_the_share_of_other_items_that_a_target_beats() -> None:
    random = np.random.default_rng(0)
    score = random.normal(size=200).astype(np.float32)
    targets = np.array([3, 50, 199])
    others = np.setdiff1d(np.arange(200), targets)
    expected = np.mean([(score[target] > score[others]).mean() for target in targets])
    assert metrics.auc(Standing.of(score, targets, 200).ranks(), 200) == pytest.approx(expected)


def test_a_source_that_says_nothing_has_an_auc_of_one_half() -> None:
    assert metrics.auc(Standing.of(np.empty(0, np.float32), np.array([-1]), 101).ranks(), 101) == 0.5


def test_fast_ndcg_of_early_stopping_agrees_with_the_metric() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        score = random.normal(size=50).astype(np.float32)
        target = random.choice(50, int(random.integers(1, 15)), replace=False)
        top = np.argsort(-score)[:10].astype(np.int32)
        expected = metrics.ndcg(Standing.of(score, target, 50).ranks(), 10)
        assert ndcg_of_top(top, target.astype(np.int32)) == pytest.approx(expected, rel=1e-5)


def test_rows_left_out_close_up_the_places_behind_them() -> None:
    items = ScoredItems(np.array([2, 5, 7], np.int32), np.array([0.9, 0.5, 0.7], np.float32))
    standing = items.standing(np.array([5, 8], np.int32), 10)
    assert standing.ranks().tolist() == [2, 6]
    assert standing.without(items.scores_among(np.array([2, 3], np.int32)), 2).ranks().tolist() == [1, 4.5]
    assert items.first_places == {2, 5, 7}


def test_ranks_of_a_list_without_rows_are_those_of_the_list_made_without_them() -> None:
    random = np.random.default_rng(2)
    for _ in range(20):
        row_C = np.sort(random.choice(60, 40, replace=False)).astype(np.int32)
        score_C = random.integers(0, 8, 40).astype(np.float32)
        target, gone = np.split(random.permutation(60)[:14].astype(np.int32), [5])
        kept_C = ~np.isin(row_C, gone)
        whole = ScoredItems(row_C, score_C)
        left = ScoredItems(row_C[kept_C], score_C[kept_C]).standing(target, 60 - len(gone))
        subtracted = whole.standing(target, 60).without(whole.scores_among(gone), len(gone))
        assert subtracted.ranks().tolist() == left.ranks().tolist()


def test_coverage_is_the_share_of_the_catalogue_shown() -> None:
    assert metrics.coverage({1, 2, 3}, 12) == 0.25
