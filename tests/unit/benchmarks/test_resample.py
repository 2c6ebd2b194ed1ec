"""Resampled item tables: how far an item is from its nearest stays what it was, and the trained items are in them."""

import numpy as np

from benchmarks.retrieval.resample import Resampler, quartiles, squared_distances


def table(items: int = 600, dim: int = 24) -> np.ndarray:
    random = np.random.default_rng(3)
    basis = random.normal(size=(6, dim))
    return (random.normal(size=(items, 6)) @ basis + 0.3 * random.normal(size=(items, dim))).astype(np.float32)


def nearest(item_ND: np.ndarray) -> np.ndarray:
    distance_NN = squared_distances(item_ND, item_ND)
    np.fill_diagonal(distance_NN, np.inf)
    return np.sqrt(distance_NN.min(axis=1))


def test_a_table_ten_times_as_large_keeps_the_median_distance_to_the_nearest_item() -> None:
    trained = table()
    drawn = Resampler(trained).draw(6000)
    assert len(drawn.item_ND) == 6000
    assert 0.93 < np.median(nearest(drawn.item_ND)) / np.median(nearest(trained)) < 1.07


def test_the_trained_items_are_the_first_of_the_larger_table() -> None:
    trained = table()
    np.testing.assert_array_equal(Resampler(trained).draw(1000).item_ND[:600], trained)


def test_quartiles_rise() -> None:
    found = quartiles(np.arange(101, dtype=np.float32))
    assert (found.low, found.median, found.high) == (25.0, 50.0, 75.0)
