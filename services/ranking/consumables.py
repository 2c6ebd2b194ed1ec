"""Which products come back: a consumable is bought again by the same shopper, a durable good is not.

Called by   services/ranking/serving_model.py (once for each model), services/ranking/rules.py (repeat = "auto")
Evidence    the bundle's repeat rate, the share of an item's buyers who bought it again, and its mean over the item's
            narrowest category and department, each item by its popularity: what few have bought is judged by its kind
Rule        consumable when either rate reaches CONSUMABLE_RATE. The Complete Journey's groceries lie far above it,
            clothes and furniture far below
"""

import numpy as np
import numpy.typing as npt

from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.models.recommender import Recommender
from shared.models.tensors import BoolArray

CONSUMABLE_RATE = 0.1
PRIOR_BUYERS = 20.0
"""a narrow category's mean counts as much as its department's only after this much (decayed) popularity"""


class Consumables:
    """Repeat rates of one model over a live catalogue."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender, self.catalogue = recommender, recommender.catalogue
        self._rate_V = recommender.contents.popularity.repeat_rate_V
        self._rate_L = _rate_of_leaf(
            self.catalogue, recommender.rows.row_of_code_V, self._rate_V, recommender.contents.popularity.weight_V
        )

    def are_consumable(self, row_C: IntArray) -> BoolArray:
        """Return which catalogue rows may be shown again to a shopper who bought them."""
        code_C, leaf_C = self._recommender.rows.code_of_row_N[row_C], self.catalogue.leaf_category_N[row_C]
        own_C = np.where(code_C >= 0, self._rate_V[np.maximum(code_C, 0)], 0)
        # Categories that came after the model have no rate.
        kind_C = np.where(leaf_C < len(self._rate_L), self._rate_L[np.minimum(leaf_C, len(self._rate_L) - 1)], 0)
        consumable_C: BoolArray = np.maximum(own_C, kind_C) >= CONSUMABLE_RATE
        return consumable_C


def _rate_of_leaf(
    catalogue: Catalogue, row_of_code_V: IntArray, rate_V: FloatArray, weight_V: FloatArray
) -> FloatArray:
    """Return the weighted mean rate of each leaf category, pulled towards that of its departments."""
    known = row_of_code_V >= 0
    rows, weight_K, rate_K = row_of_code_V[known], weight_V[known].astype(np.float64), rate_V[known]
    leaf_K, top_K = catalogue.leaf_category_N[rows], catalogue.top_category_N[rows]
    size = len(catalogue.categories)

    def sums(code_K: IntArray, value_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(code_K, weight_K * value_K, minlength=size).astype(np.float64)

    ones_K = np.ones(len(rows))
    department_T = sums(top_K, rate_K.astype(np.float64)) / np.maximum(sums(top_K, ones_K), 1e-9)
    weight_L = np.maximum(sums(leaf_K, ones_K), 1e-9)
    prior_L = sums(leaf_K, department_T[top_K]) / weight_L
    rate_L = (sums(leaf_K, rate_K.astype(np.float64)) + PRIOR_BUYERS * prior_L) / (weight_L + PRIOR_BUYERS)
    rate_L[0] = 0  # items without any category are not judged by each other
    return rate_L.astype(np.float32)
