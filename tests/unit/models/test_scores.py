"""Scores of sources: the best of them, and their columns in the fusion."""

import numpy as np
import pytest

from shared.models.columns import LOG_FLOOR, LOWEST_LOGIT, fill_source_columns
from shared.models.sources.scores import EMPTY_SCORES, DenseScores, PositiveScores, SourceScores, best_first


@pytest.mark.parametrize("size", [5, 100, 101, 3000, 30_000])
@pytest.mark.parametrize("distinct", [1, 7, 10_000])
def test_best_first_is_the_start_of_a_stable_sort_ties_and_all(size: int, distinct: int) -> None:
    score_X = np.random.default_rng(size + distinct).integers(0, distinct, size).astype(np.float32)
    assert best_first(score_X, 100).tolist() == np.argsort(-score_X, kind="stable")[:100].tolist()


@pytest.mark.parametrize("positive", [0, 3, 100, 959, 961, 20_000])
@pytest.mark.parametrize("distinct", [2, 10_000])
def test_the_best_of_votes_are_those_of_the_items_with_votes_ties_and_all(positive: int, distinct: int) -> None:
    random = np.random.default_rng(positive + distinct)
    score_V = np.zeros(27_000, np.float32)
    score_V[random.permutation(27_000)[: 2 * positive]] = -1
    score_V[random.permutation(27_000)[:positive]] = random.integers(1, distinct, positive)
    votes = PositiveScores(score_V)
    assert votes.top(60, None).tolist() == votes.sparse().top(60, None).tolist()


def columns(scores_of: dict[str, SourceScores], *codes: int) -> list[list[float]]:
    matrix_CF = np.full((len(codes), 2 * len(scores_of)), np.nan, np.float32)
    fill_source_columns(scores_of, np.array(codes, np.int32), matrix_CF)
    return [[round(value, 5) for value in row] for row in matrix_CF.tolist()]


def test_a_source_is_seen_against_its_best_item_and_a_negative_score_is_none() -> None:
    votes = PositiveScores(np.array([1, 4, -2, 0], np.float32))
    floor, quarter = round(float(np.log(LOG_FLOOR)), 5), round(float(np.log(0.25 + LOG_FLOOR)), 5)
    assert columns({"markov": votes}, 0, 2, 3, -1) == [[0.25, quarter], [0, floor], [0, floor], [0, floor]]


def test_logits_are_odds_against_the_best_item_wherever_the_encoder_stands() -> None:
    logits = DenseScores(np.array([1, 3, -50], np.float32))
    expected = [[round(float(np.exp(-2)), 5), -2], [1, 0], [0, LOWEST_LOGIT], [0, LOWEST_LOGIT]]
    assert columns({"sequence": logits}, 0, 1, 2, -1) == expected
    both = columns({"svd": DenseScores(np.ones(3, np.float32)), "sequence": logits}, 0, 1, 2, -1)
    assert [row[2:] for row in both] == expected


def test_a_stranger_has_the_least_of_every_source() -> None:
    floor = round(float(np.log(LOG_FLOOR)), 5)
    assert columns({"sequence": EMPTY_SCORES, "item_knn": EMPTY_SCORES}, 0, -1) == [[0, LOWEST_LOGIT, 0, floor]] * 2
