"""What a shopper would not have found alone: rare, unmet and new items; and a first showing for every new one.

Called by   services/ranking/rerank/rerank.py, services/ranking/rank.py
Novelty     self-information of an item, -log2 p(item), as a share of the largest there can be, p its share of
            purchases with one more for every item (an item the model does not know: no purchases);
            plus UNMET for an item that is in none of the shopper's events; plus FRESH times the item's newness, which
            halves every 30 days
Showing     an item newer than the model has no sales to speak for it. Where novelty is above 0, the last places of a
            list go to such items until each has been in FIRST_SHOWINGS lists of this process: of those not yet shown
            the one most like the shopper's taste. So the first lists after a new item may differ from one another
Source      self-information: Zhou et al., "Solving the apparent diversity-accuracy dilemma", PNAS 2010
Dimensions  C candidates, N catalogue rows, V items of the vocabulary
"""

import numpy as np

from shared.features.catalogue import Catalogue
from shared.features.events import FloatArray, IntArray
from shared.models.recommender import Recommender, Scored
from shared.models.tensors import BoolArray

UNMET = 0.25
FRESH = 0.5
FIRST_SHOWINGS = 10
SPARE = 50
"""new items asked for before the rules of the request take their share"""
LIST_SHARE = 4
"""at most one place in this many goes to items not yet shown"""


def novelty(recommender: Recommender, scored: Scored, row_C: IntArray, newness_C: FloatArray) -> FloatArray:
    """Return how new each candidate would be to this shopper; about 0 to 2."""
    met_N = np.zeros(len(recommender.catalogue), np.bool_)
    met_N[scored.query.window.positive().row_E] = True
    rare_C = self_information(recommender, row_C)
    novelty_C: FloatArray = (rare_C + UNMET * ~met_N[row_C] + FRESH * newness_C).astype(np.float32)
    return novelty_C


def self_information(recommender: Recommender, row_C: IntArray) -> FloatArray:
    """Return -log2 of each row's share of purchases, as a share of that of an item never bought."""
    sales_V = recommender.contents.popularity.weight_V
    code_C = recommender.rows.code_of_row_N[row_C]
    sales_C = np.where(code_C >= 0, sales_V[np.maximum(code_C, 0)], 0.0)
    all_sales = float(sales_V.sum()) + len(sales_V)
    information_C: FloatArray = (1 - np.log(sales_C + 1) / np.log(all_sales)).astype(np.float32)
    return information_C


class FirstShowings:
    """How often this process listed each item that is newer than the model; belongs to one event loop."""

    def __init__(self) -> None:
        self._catalogue: Catalogue | None = None
        self._shown_N: IntArray = np.zeros(0, np.int32)

    def due(self, recommender: Recommender, scored: Scored) -> IntArray:
        """Return new rows that are not shown often enough yet, those most like the shopper's taste first."""
        waiting_N: BoolArray = self._counts(recommender.catalogue) < FIRST_SHOWINGS
        return recommender.content.newest_like(scored.wanted_D, SPARE, waiting_N)

    def count(self, recommender: Recommender, row_K: IntArray) -> None:
        """Remember a list; rows of the vocabulary are never due, so counting them, too, does no harm."""
        self._counts(recommender.catalogue)[row_K] += 1

    def _counts(self, catalogue: Catalogue) -> IntArray:
        if catalogue is not self._catalogue:
            self._catalogue, self._shown_N = catalogue, np.zeros(0, np.int32)
        missing = len(catalogue) - len(self._shown_N)
        if missing:
            self._shown_N = np.concatenate([self._shown_N, np.zeros(missing, np.int32)])
        return self._shown_N
