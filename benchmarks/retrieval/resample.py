"""A larger item table from a trained one: real items, moved by the steps between real neighbours.

Called by   benchmarks/retrieval/__main__.py
How         new item = a real item + `share` of the step from some other real item to one of its near neighbours; that
            other item has a like length and a like distance to its nearest, so dense regions stay dense
Matched     `share` is searched so that the median distance from an item to its nearest is that of the trained table;
            the quartiles of both are in the result file. What it is not: a larger catalogue, of which none is here
Dimensions  V items of the trained table, N of the larger one, D width, K neighbours
"""

from dataclasses import dataclass

import numpy as np

from shared.features.events import FloatArray, IntArray

NEIGHBOURS = 8
BANDS = 20
"""groups of like distance to the nearest"""
PROBED = 256
"""items whose nearest distance is measured"""
ROUNDS = 6
BLOCK = 65_536


@dataclass(frozen=True)
class Quartiles:
    """Distances from items to their nearest other item."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Resampled:
    """The larger table."""

    item_ND: FloatArray
    share: float
    real: Quartiles
    resampled: Quartiles


class Resampler:
    """Draws tables of any size from one trained table."""

    def __init__(self, item_VD: FloatArray, seed: int = 7) -> None:
        self.item_VD, self.seed = item_VD, seed
        self.near_VK, nearest_V = neighbours(item_VD)
        self.real = quartiles(nearest_V)
        order_V = np.argsort(nearest_V, kind="stable")
        self.bands = np.array_split(order_V.astype(np.int32), BANDS)
        self.band_V = np.empty(len(item_VD), np.int32)
        for place, band in enumerate(self.bands):
            self.band_V[band] = place

    def draw(self, size: int) -> Resampled:
        """Return a table of `size` items; the trained ones are its first."""
        low, high, share = 0.05, 4.0, 1.0
        for _ in range(ROUNDS):
            found = self._nearest(self._table(size, share))
            if found.median > self.real.median:
                high = share
            else:
                low = share
            share = float(np.sqrt(low * high))
        item_ND = self._table(size, share)
        return Resampled(item_ND, share, self.real, self._nearest(item_ND))

    def _table(self, size: int, share: float) -> FloatArray:
        random = np.random.default_rng(self.seed)
        item_ND = np.empty((size, self.item_VD.shape[1]), np.float32)
        known = min(size, len(self.item_VD))
        item_ND[:known] = self.item_VD[:known]
        for start in range(known, size, BLOCK):
            stop = min(size, start + BLOCK)
            item_ND[start:stop] = self._moved(stop - start, share, random)
        return item_ND

    def _moved(self, count: int, share: float, random: np.random.Generator) -> FloatArray:
        from_C = random.integers(0, len(self.item_VD), count)
        draw_C = random.random(count)
        sizes_B = np.array([len(band) for band in self.bands])
        band_C = self.band_V[from_C]
        place_C = (draw_C * sizes_B[band_C]).astype(np.int64)
        starts_B = np.concatenate([[0], np.cumsum(sizes_B)[:-1]])
        other_C = np.concatenate(self.bands)[starts_B[band_C] + place_C]
        near_C = self.near_VK[other_C, random.integers(0, self.near_VK.shape[1], count)]
        step_CD = self.item_VD[near_C] - self.item_VD[other_C]
        return self.item_VD[from_C] + np.float32(share) * step_CD

    def _nearest(self, item_ND: FloatArray) -> Quartiles:
        """Return the distances of a random sample of items to their nearest, over all of the table."""
        place_P = np.random.default_rng(self.seed + 1).choice(len(item_ND), min(PROBED, len(item_ND)), replace=False)
        best_P = np.full(len(place_P), np.inf, np.float32)
        probe_PD = item_ND[place_P]
        for start in range(0, len(item_ND), BLOCK):
            distance_PC = squared_distances(probe_PD, item_ND[start : start + BLOCK])
            inside_P = np.flatnonzero((place_P >= start) & (place_P < start + BLOCK))
            distance_PC[inside_P, place_P[inside_P] - start] = np.inf
            np.minimum(best_P, distance_PC.min(axis=1), out=best_P)
        return quartiles(np.sqrt(best_P))


def neighbours(item_VD: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the nearest items of each item, and the distance to the first."""
    near, nearest = [], []
    for start in range(0, len(item_VD), 1024):
        distance_BV = squared_distances(item_VD[start : start + 1024], item_VD)
        row_B = np.arange(len(distance_BV))
        distance_BV[row_B, start + row_B] = np.inf
        near_BK = np.argpartition(distance_BV, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        near.append(near_BK.astype(np.int32))
        nearest.append(np.sqrt(distance_BV.min(axis=1)))
    return np.concatenate(near), np.concatenate(nearest)


def squared_distances(some_BD: FloatArray, others_VD: FloatArray) -> FloatArray:
    """Return |x - y|² of all pairs, never below 0."""
    product_BV = some_BD @ others_VD.T
    product_BV *= -2
    product_BV += (some_BD**2).sum(axis=1)[:, None]
    product_BV += (others_VD**2).sum(axis=1)
    return np.maximum(product_BV, 0, out=product_BV)


def quartiles(distance_X: FloatArray) -> Quartiles:
    """Return the quartiles of distances."""
    low, median, high = np.quantile(distance_X, (0.25, 0.5, 0.75)).tolist()
    return Quartiles(round(low, 4), round(median, 4), round(high, 4))
