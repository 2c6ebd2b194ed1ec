"""Which products come back: a consumable is bought again by the same shopper, a durable good is not.

Called by   services/ranking/serving_model.py (once for each model), services/ranking/rules.py (repeat = "auto")
Evidence    the bundle's repeat rate, the share of an item's buyers who bought it again, and its mean over the item's
            narrowest category, each item by its popularity: what few have bought is judged by its kind
Rule        consumable when either rate reaches CONSUMABLE_RATE. The Complete Journey's groceries lie far above it,
            clothes and furniture far below
"""

import numpy as np

from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.models.recommender import Recommender
from shared.models.tensors import BoolArray

CONSUMABLE_RATE = 0.1
PRIOR_BUYERS = 20.0
"""a category's mean counts as much as the rate over the whole shop only after this much (decayed) popularity"""


class Consumables:
    """Repeat rates of one model over a live catalogue."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender, self.catalogue = recommender, recommender.catalogue
        self._rate_V = recommender.contents.popularity.repeat_rate_V
        self._rate_of_category = _rate_of_category(
            self.catalogue, recommender.rows.row_of_code_V, self._rate_V, recommender.contents.popularity.weight_V
        )

    def are_consumable(self, row_C: IntArray) -> BoolArray:
        """Return which catalogue rows may be shown again to a shopper who bought them."""
        code_C = self._recommender.rows.code_of_row_N[row_C]
        own_C = np.where(code_C >= 0, self._rate_V[np.maximum(code_C, 0)], 0)
        names = (self.catalogue.categories.names[leaf] for leaf in self.catalogue.leaf_category_N[row_C])
        category_C = np.array([self._rate_of_category.get(name, 0.0) for name in names], np.float32)
        consumable_C: BoolArray = np.maximum(own_C, category_C) >= CONSUMABLE_RATE
        return consumable_C


def _rate_of_category(
    catalogue: Catalogue, row_of_code_V: IntArray, rate_V: FloatArray, weight_V: FloatArray
) -> dict[str, float]:
    """Return the weighted mean rate of each leaf category, pulled towards that of the shop while little is known."""
    known = row_of_code_V >= 0
    weight_K, rate_K = weight_V[known].astype(np.float64), rate_V[known]
    if not weight_K.sum():
        return {}
    leaf_K = catalogue.leaf_category_N[row_of_code_V[known]]
    shop_rate = float(weight_K @ rate_K / weight_K.sum())
    weight_L = np.bincount(leaf_K, weight_K)
    rate_L = (np.bincount(leaf_K, weight_K * rate_K) + PRIOR_BUYERS * shop_rate) / (weight_L + PRIOR_BUYERS)
    return {catalogue.categories.names[leaf]: float(rate_L[leaf]) for leaf in np.flatnonzero(weight_L)}
