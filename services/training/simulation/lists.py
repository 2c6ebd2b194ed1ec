"""The lists that the simulated shop shows, drawn at random with known chances: the policy that made the log.

Called by   simulate.py; live.py for what shoppers find by themselves
Out         Lists with the propensity of each item at its place
Policy      each place draws from a mixture: any item, a popular one, a popular one of a category that the shopper's age
            and gender like, a popular one of the category looked at last; what stands higher up is not drawn again
Propensity  p / (1 - sum of p of the places above): the chance at its place, given the places above. Drawing with
            replacement and skipping repetitions is this same successive sampling
Dimensions  Q lists, K places, V items, C categories
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.training.simulation.catalogue import CATEGORIES, SimulatedCatalogue
from services.training.simulation.shoppers import Shoppers
from shared.features.events import FloatArray, IntArray, LongArray

ANY, POPULAR, KIND, LAST_VIEWED = 0, 1, 2, 3
SHARES = (0.2, 0.35, 0.25, 0.2)
"""of the parts of the mixture; without a product viewed before, the last share goes to popular items"""
DRAWS_PER_PLACE = 4
NO_ITEM = -1
INTENT_SHARE = 0.9
"""of the products that a shopper looks at without a list, those of the category the session is for"""


@dataclass(frozen=True)
class Lists:
    """Q lists as they were shown."""

    user_Q: IntArray
    device_Q: IntArray
    intent_Q: IntArray
    shown_at_ms_Q: LongArray
    item_QK: IntArray
    """in the order shown; NO_ITEM behind the end of a list"""
    propensity_QK: FloatArray


class ListPolicy:
    """Draws lists for many shoppers at once."""

    def __init__(self, catalogue: SimulatedCatalogue, shoppers: Shoppers, list_length: int) -> None:
        self._catalogue, self._length = catalogue, list_length
        self._popularity_V = catalogue.popularity_V.astype(np.float64)
        self._popularity_V /= self._popularity_V.sum()
        self._cumulated_V1 = np.append(0.0, np.cumsum(self._popularity_V))
        self._start_C1 = np.searchsorted(catalogue.category_V, np.arange(len(CATEGORIES) + 1))
        self._share_C = np.diff(self._cumulated_V1[self._start_C1])
        liked_UC = np.exp(0.8 * shoppers.kind_taste_UC)
        self._liked_UC = liked_UC / liked_UC.sum(axis=1, keepdims=True)

    def found(self, intent_E: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw the product that a shopper who is after a category looks at without any list."""
        intended_E = rng.random(len(intent_E)) < INTENT_SHARE
        popular_E = self._popular_in(intent_E, rng)
        return np.where(intended_E, popular_E, rng.integers(0, len(self._catalogue), len(intent_E))).astype(np.int32)

    def _popular_in(self, category_E: IntArray, rng: np.random.Generator) -> IntArray:
        """Draw an item of each category by its popularity."""
        first_E, end_E = self._start_C1[category_E], self._start_C1[category_E + 1]
        low_E, share_E = self._cumulated_V1[first_E], self._share_C[category_E]
        item_E = np.searchsorted(self._cumulated_V1, low_E + rng.random(category_E.shape) * share_E, "right") - 1
        # Rounding may lead one item beside the category. One without items leads to the item where it would stand.
        inside_E: IntArray = np.clip(item_E, np.minimum(first_E, len(self._catalogue) - 1), np.maximum(end_E - 1, 0))
        return inside_E.astype(np.int32)

    def draw(self, user_Q: IntArray, last_viewed_Q: IntArray, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Return items and propensities [Q, K]; `last_viewed_Q` is a category, -1 when nothing was looked at."""
        share_QS = np.tile(np.array(SHARES), (len(user_Q), 1))
        blind_Q = last_viewed_Q < 0
        share_QS[blind_Q, POPULAR] += share_QS[blind_Q, LAST_VIEWED]
        share_QS[blind_Q, LAST_VIEWED] = 0.0
        item_QM = self._drawn(user_Q, last_viewed_Q, share_QS, rng)
        item_QK = _first_different(item_QM, self._length)
        return item_QK, self._propensities(item_QK, user_Q, last_viewed_Q, share_QS)

    def _drawn(
        self, user_Q: IntArray, last_viewed_Q: IntArray, share_QS: npt.NDArray[np.float64], rng: np.random.Generator
    ) -> IntArray:
        """Return DRAWS_PER_PLACE independent draws for each place."""
        size = (len(user_Q), DRAWS_PER_PLACE * self._length)
        upper_QS = np.cumsum(share_QS, axis=1)[:, :-1]
        part_QM = (rng.random(size)[:, :, None] > upper_QS[:, None, :]).sum(axis=2)
        liked_QC = np.cumsum(self._liked_UC[user_Q], axis=1)[:, :-1]
        kind_QM = (rng.random(size)[:, :, None] > liked_QC[:, None, :]).sum(axis=2)
        category_QM = np.where(part_QM == KIND, kind_QM, np.maximum(last_viewed_Q, 0)[:, None]).astype(np.int32)
        popular_QM = np.searchsorted(self._cumulated_V1, rng.random(size), "right") - 1
        popular_QM = np.minimum(popular_QM, len(self._catalogue) - 1)
        any_QM = rng.integers(0, len(self._catalogue), size)
        inside_QM = self._popular_in(category_QM, rng)
        return np.select([part_QM == ANY, part_QM == POPULAR], [any_QM, popular_QM], inside_QM).astype(np.int32)

    def _propensities(
        self, item_QK: IntArray, user_Q: IntArray, last_viewed_Q: IntArray, share_QS: npt.NDArray[np.float64]
    ) -> FloatArray:
        safe_QK = np.maximum(item_QK, 0)
        category_QK = self._catalogue.category_V[safe_QK]
        popular_QK = self._popularity_V[safe_QK]
        in_category_QK = popular_QK / self._share_C[category_QK]
        liked_QK = self._liked_UC[user_Q[:, None], category_QK]
        p_QK = (
            share_QS[:, ANY, None] / len(self._catalogue)
            + share_QS[:, POPULAR, None] * popular_QK
            + share_QS[:, KIND, None] * liked_QK * in_category_QK
            + share_QS[:, LAST_VIEWED, None] * (category_QK == last_viewed_Q[:, None]) * in_category_QK
        )
        p_QK = np.where(item_QK == NO_ITEM, 0.0, p_QK)
        above_QK = np.cumsum(p_QK, axis=1) - p_QK
        return (p_QK / (1.0 - above_QK)).astype(np.float32)


def _first_different(item_QM: IntArray, length: int) -> IntArray:
    """Return the first `length` different items of each row in their order, NO_ITEM where there are fewer."""
    order_QM = np.argsort(item_QM, axis=1, kind="stable")
    sorted_QM = np.take_along_axis(item_QM, order_QM, axis=1)
    repeated_sorted_QM = np.zeros(item_QM.shape, np.bool_)
    repeated_sorted_QM[:, 1:] = sorted_QM[:, 1:] == sorted_QM[:, :-1]
    repeated_QM = np.empty_like(repeated_sorted_QM)
    np.put_along_axis(repeated_QM, order_QM, repeated_sorted_QM, axis=1)
    place_QM = np.cumsum(~repeated_QM, axis=1) - 1
    item_QK = np.full((len(item_QM), length), NO_ITEM, np.int32)
    row, column = np.nonzero(~repeated_QM & (place_QM < length))
    item_QK[row, place_QM[row, column]] = item_QM[row, column]
    return item_QK
