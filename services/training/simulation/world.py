"""The simulated shop at work: show lists to shoppers, and see what they click and buy.

Called by   simulate.py (many shoppers at once), live.py (one list of a running platform)
State       how often who was shown what, and what they bought lately: fatigue and satiation follow from it
Dimensions  Q lists, K places, N items shown (the filled places, list by list)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.training.simulation.catalogue import CATEGORIES, SimulatedCatalogue, make_catalogue
from services.training.simulation.choice import SATIATION_HALF_LIFE_DAYS, Chances, Showing, chances
from services.training.simulation.config import DAY_MS, SimulationConfig
from services.training.simulation.lists import NO_ITEM, Lists
from services.training.simulation.sessions import dayparts, hours, weekdays
from services.training.simulation.shoppers import Shoppers, make_shoppers
from shared.features.events import FloatArray, IntArray, LongArray

BoolArray = npt.NDArray[np.bool_]
CART_ONLY_SHARE = 0.12
"""of clicks that are not followed by a purchase but by a cart that is left"""
MOST_TIMES = 255


@dataclass(frozen=True)
class Outcome:
    """What became of N items shown, list by list, from the top."""

    list_N: IntArray
    showing: Showing
    chances: Chances
    clicked_N: BoolArray
    carted_N: BoolArray
    purchased_N: BoolArray


class World:
    """One shop with its shoppers; what they were shown changes them."""

    def __init__(self, catalogue: SimulatedCatalogue, shoppers: Shoppers) -> None:
        self.catalogue, self.shoppers = catalogue, shoppers
        self._times_shown_UV = np.zeros((len(shoppers), len(catalogue)), np.uint8)
        self._satiation_UC = np.zeros((len(shoppers), len(CATEGORIES)), np.float32)
        self._bought_ms_UC = np.zeros((len(shoppers), len(CATEGORIES)), np.int64)

    def show(self, lists: Lists, rng: np.random.Generator) -> Outcome:
        """Show lists, at most one to a shopper, and return what was clicked and bought."""
        list_N, place_N = np.nonzero(lists.item_QK != NO_ITEM)
        showing = self._showing(lists, list_N.astype(np.int32), place_N)
        truth = chances(self.catalogue, self.shoppers, showing)
        clicked_N = rng.random(len(list_N)) < truth.p_click_N
        purchased_N = clicked_N & (rng.random(len(list_N)) < truth.p_purchase_given_click_N)
        left_N = clicked_N & ~purchased_N & (rng.random(len(list_N)) < CART_ONLY_SHARE)
        self._remember(showing, purchased_N, lists.shown_at_ms_Q[list_N])
        return Outcome(list_N.astype(np.int32), showing, truth, clicked_N, purchased_N | left_N, purchased_N)

    def _showing(self, lists: Lists, list_N: IntArray, place_N: npt.NDArray[np.int64]) -> Showing:
        user_N, item_N = lists.user_Q[list_N], lists.item_QK[list_N, place_N]
        at_ms_N = lists.shown_at_ms_Q[list_N]
        category_QK = np.where(
            lists.item_QK == NO_ITEM, NO_ITEM, self.catalogue.category_V[np.maximum(lists.item_QK, 0)]
        )
        return Showing(
            user_N=user_N,
            item_N=item_N,
            position_N=(place_N + 1).astype(np.int32),
            device_N=lists.device_Q[list_N],
            daypart_N=dayparts(hours(at_ms_N)),
            weekend_N=(weekdays(at_ms_N) >= 5).astype(np.int32),
            intent_N=lists.intent_Q[list_N],
            times_shown_N=self._times_shown_UV[user_N, item_N].astype(np.int32),
            satiation_N=self._satiation(user_N, self.catalogue.category_V[item_N], at_ms_N),
            same_above_N=_same_above(category_QK)[list_N, place_N],
        )

    def _satiation(self, user_E: IntArray, category_E: IntArray, at_ms_E: LongArray) -> FloatArray:
        days_E = (at_ms_E - self._bought_ms_UC[user_E, category_E]) / DAY_MS
        decay_E = np.exp2(-days_E / SATIATION_HALF_LIFE_DAYS)
        return (self._satiation_UC[user_E, category_E] * decay_E).astype(np.float32)

    def _remember(self, showing: Showing, purchased_N: BoolArray, at_ms_N: LongArray) -> None:
        seen_N = self._times_shown_UV[showing.user_N, showing.item_N]
        self._times_shown_UV[showing.user_N, showing.item_N] = np.minimum(seen_N, MOST_TIMES - 1) + 1
        user_P, item_P, at_ms_P = showing.user_N[purchased_N], showing.item_N[purchased_N], at_ms_N[purchased_N]
        category_P = self.catalogue.category_V[item_P]
        self._satiation_UC[user_P, category_P] = self._satiation(user_P, category_P, at_ms_P)
        self._bought_ms_UC[user_P, category_P] = at_ms_P
        np.add.at(self._satiation_UC, (user_P, category_P), np.float32(1.0))


def make_world(config: SimulationConfig) -> World:
    """Return the shop of a configuration: products and shoppers have their own random numbers."""
    return World(
        make_catalogue(config, np.random.default_rng([config.seed, 1])),
        make_shoppers(config, np.random.default_rng([config.seed, 2])),
    )


def _same_above(category_QK: IntArray) -> IntArray:
    """Return how many items of the same category stand higher in the list."""
    length = category_QK.shape[1]
    higher_KK = np.tri(length, length, -1, dtype=np.bool_)
    same_QKK = category_QK[:, :, None] == category_QK[:, None, :]
    number_QK: IntArray = (same_QKK & higher_KK).sum(axis=2).astype(np.int32)
    return number_QK
