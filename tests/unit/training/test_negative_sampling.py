"""Negatives and their correction."""

import numpy as np

from services.training.examples.negative_sampling import NegativeSampler


def test_corrected_samples_estimate_the_sum_over_all_items_without_bias() -> None:
    random = np.random.default_rng(0)
    count_V = random.integers(1, 1000, 500)
    logit_V = random.normal(size=500)
    sampler = NegativeSampler(count_V, 64, popularity_share=0.5, exponent=0.75)
    estimates = []
    for _ in range(4000):
        negatives = sampler.draw(random)
        estimates.append(np.exp(logit_V[negatives.code_N] - negatives.log_expected_N).sum())
    assert abs(np.mean(estimates) / np.exp(logit_V).sum() - 1) < 0.02


def test_popular_items_are_drawn_more_often_and_every_item_is_drawn() -> None:
    count_V = np.array([1000] + [1] * 99)
    sampler = NegativeSampler(count_V, 50, popularity_share=0.5, exponent=1.0)
    random = np.random.default_rng(1)
    seen = np.zeros(100)
    for _ in range(400):
        seen[sampler.draw(random).code_N] += 1
    assert seen[0] == 400
    assert (seen > 0).all()


def test_draws_are_distinct_and_repeatable() -> None:
    sampler = NegativeSampler(np.ones(20, np.int64), 200, 0.5, 0.75)
    one, two = (sampler.draw(np.random.default_rng(5)) for _ in range(2))
    assert len(set(one.code_N.tolist())) == len(one.code_N)
    assert (one.code_N == two.code_N).all()
    assert (one.log_expected_N == two.log_expected_N).all()
