"""The metrics of lists agree with their definitions written as plain loops, and with SciPy's and scikit-learn's own."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import entropy
from sklearn.metrics.pairwise import cosine_distances

from benchmarks.rerank import metrics

ITEMS, LISTS, PLACES, CLOSE = 50, 20, 10, 1e-6


@pytest.fixture(params=range(3))
def made(request: pytest.FixtureRequest) -> Any:
    """Return made-up lists over made-up items."""
    random = np.random.default_rng(request.param)
    lists = np.array([random.choice(ITEMS, PLACES, replace=False) for _ in range(LISTS)], np.int64)
    vectors = random.normal(size=(ITEMS, 8))
    codes = random.integers(0, 5, ITEMS).astype(np.int64)
    counts = random.geometric(0.05, ITEMS).astype(np.int64)
    return lists, vectors, codes, counts


def mean(values: Any) -> float:
    found = list(values)
    return sum(found) / len(found)


def test_ild_is_the_mean_distance_of_pairs(made: Any) -> None:
    lists, vectors, _, _ = made

    def distance(a: int, b: int) -> float:
        dot = sum(x * y for x, y in zip(vectors[a], vectors[b], strict=True))
        return 1 - dot / math.sqrt(sum(x * x for x in vectors[a]) * sum(y * y for y in vectors[b]))

    plain = mean(mean(distance(a, b) for a, b in itertools.combinations(one, 2)) for one in lists.tolist())
    scipy = mean(pdist(vectors[one], "cosine").mean() for one in lists)
    upper = np.triu_indices(PLACES, 1)
    sklearn = mean(cosine_distances(vectors[one])[upper].mean() for one in lists)
    assert metrics.ild(lists, vectors) == pytest.approx(plain, abs=CLOSE)
    assert metrics.ild(lists, vectors) == pytest.approx(scipy, abs=CLOSE)
    assert metrics.ild(lists, vectors) == pytest.approx(sklearn, abs=CLOSE)


def test_item_without_content_is_at_distance_one_from_all(made: Any) -> None:
    lists, vectors, _, _ = made
    assert metrics.ild(lists, np.zeros_like(vectors)) == 1.0


def test_category_ild_is_the_share_of_mixed_pairs(made: Any) -> None:
    lists, _, codes, _ = made
    plain = mean(mean(codes[a] != codes[b] for a, b in itertools.combinations(one, 2)) for one in lists.tolist())
    scipy = mean(pdist(codes[one][:, None], "hamming").mean() for one in lists)
    assert metrics.category_ild(lists, codes) == pytest.approx(plain, abs=CLOSE)
    assert metrics.category_ild(lists, codes) == pytest.approx(scipy, abs=CLOSE)


def test_novelty_is_the_mean_self_information(made: Any) -> None:
    lists, _, _, counts = made
    total = sum(counts.tolist()) + ITEMS
    plain = mean(mean(-math.log2((counts[item] + 1) / total) for item in one) for one in lists.tolist())
    # The cross-entropy of what is shown against what is bought is its entropy plus its divergence from it.
    shown = np.bincount(lists.ravel(), minlength=ITEMS) / lists.size
    scipy = entropy(shown, base=2) + entropy(shown, (counts + 1) / total, base=2)
    assert metrics.novelty(lists, counts) == pytest.approx(plain, abs=CLOSE)
    assert metrics.novelty(lists, counts) == pytest.approx(float(scipy), abs=CLOSE)


def test_coverage_is_the_share_of_items_shown(made: Any) -> None:
    lists = made[0][:3]
    plain = len({item for one in lists.tolist() for item in one}) / ITEMS
    assert metrics.coverage(lists, ITEMS) == pytest.approx(plain, abs=CLOSE)
    shown = np.bincount(lists.ravel(), minlength=ITEMS)
    assert metrics.coverage(lists, ITEMS) == pytest.approx(np.count_nonzero(shown) / ITEMS, abs=CLOSE)


def test_gini_is_half_the_relative_mean_difference(made: Any) -> None:
    lists = made[0]
    shown = Counter(lists.ravel().tolist())
    amounts = [shown[item] for item in range(ITEMS)]
    differences = sum(abs(a - b) for a in amounts for b in amounts)
    plain = differences / (2 * ITEMS * sum(amounts))
    # SciPy's distances count each pair once.
    scipy = pdist(np.array(amounts, float)[:, None], "cityblock").sum() / (ITEMS * sum(amounts))
    assert metrics.gini(lists, ITEMS) == pytest.approx(plain, abs=CLOSE)
    assert metrics.gini(lists, ITEMS) == pytest.approx(float(scipy), abs=CLOSE)
    assert metrics.gini(np.arange(ITEMS)[None, :], ITEMS) == pytest.approx(0, abs=CLOSE)


def test_calibration_is_the_divergence_from_the_wanted_mix(made: Any) -> None:
    lists, _, codes, _ = made
    random = np.random.default_rng(0)
    wanted = random.dirichlet(np.ones(5), LISTS)
    wanted[:, 2] = 0
    wanted /= wanted.sum(axis=1, keepdims=True)

    def divergence(one: list[int], mix: list[float]) -> float:
        total = 0.0
        for code, share in enumerate(mix):
            own = sum(codes[item] == code for item in one) / len(one)
            total += share * math.log(share / (0.99 * own + 0.01 * share)) if share else 0.0
        return total

    plain = mean(divergence(one, mix) for one, mix in zip(lists.tolist(), wanted.tolist(), strict=True))
    assert metrics.calibration(lists, codes, wanted) == pytest.approx(plain, abs=CLOSE)
    share = np.array([np.bincount(codes[one], minlength=5) / PLACES for one in lists])
    smooth = 0.99 * share + 0.01 * wanted
    # SciPy makes the second distribution sum to 1; taking its logarithm off again gives the plain sum.
    scipy = entropy(wanted, smooth, axis=1) - np.log(smooth.sum(axis=1))
    assert metrics.calibration(lists, codes, wanted) == pytest.approx(float(scipy.mean()), abs=CLOSE)
