"""The truth of the simulated shop: the chance that a shopper sees, clicks and buys what a list shows.

Called by   world.py, which draws from it
In          Showing: N items at places of lists, each with its shopper, moment and past
Out         Chances of each of the N, as they are, not estimated
Click       p_examined x sigmoid(appeal): a place further down is seen less often, the more so on a phone

Purchase    p_purchase_given_click = sigmoid(worth): price weighs more, and so does what the shopper came for
Frozen      CLICK and PURCHASE were set by the oracle and a logistic regression alone, before any ranker saw the log
            (tests/unit/training/test_simulation.py holds them to it)
"""

from dataclasses import dataclass

import numpy as np

from services.training.simulation.catalogue import SimulatedCatalogue
from services.training.simulation.sessions import DESKTOP
from services.training.simulation.shoppers import Shoppers
from shared.features.events import FloatArray, IntArray

EXAMINATION_SLOPES = (0.16, 0.11)
"""by device: p_examined = 1 / (1 + slope x places above)"""


@dataclass(frozen=True)
class Weights:
    """What each part of an appeal (logit) counts; parts have deviation 1 unless said otherwise."""

    intercept: float
    quality: float
    base: float
    kind_taste: float
    own_taste: float
    brand: float
    """of a favourite brand"""
    latent: float
    price: float
    """per unit of sensitivity, at a price one deviation above its category"""
    intent: float
    """of the category the session is for"""
    daypart: float
    weekend: float
    desktop: float
    shown_before: float
    """fatigue: for each earlier time the shopper was shown the item, up to MAX_TIMES_SHOWN"""
    satiation: float
    """for a purchase in the category just now; halves every SATIATION_HALF_LIFE_DAYS"""
    same_above: float
    """for each item of the category higher in the list"""


CLICK = Weights(
    intercept=-2.3,
    quality=0.45,
    base=0.25,
    kind_taste=0.6,
    own_taste=0.2,
    brand=0.6,
    latent=0.15,
    price=-0.25,
    intent=1.2,
    daypart=0.15,
    weekend=0.1,
    desktop=-0.1,
    shown_before=-0.2,
    satiation=-0.5,
    same_above=-0.06,
)
PURCHASE = Weights(
    intercept=-3.5,
    quality=0.3,
    base=0.1,
    kind_taste=0.3,
    own_taste=0.2,
    brand=0.5,
    latent=0.15,
    price=-0.6,
    intent=0.9,
    daypart=0.1,
    weekend=0.1,
    desktop=0.4,
    shown_before=0.05,
    satiation=-0.5,
    same_above=0.0,
)
MAX_TIMES_SHOWN = 4
SATIATION_HALF_LIFE_DAYS = 10.0


@dataclass(frozen=True)
class Showing:
    """N items shown, and what decides about them."""

    user_N: IntArray
    item_N: IntArray
    position_N: IntArray
    """from 1"""
    device_N: IntArray
    daypart_N: IntArray
    weekend_N: IntArray
    """1 on Saturday and Sunday"""
    intent_N: IntArray
    times_shown_N: IntArray
    """how often the shopper was shown the item before"""
    satiation_N: FloatArray
    same_above_N: IntArray


@dataclass(frozen=True)
class Chances:
    """The true probabilities of N items shown."""

    p_examined_N: FloatArray
    p_click_N: FloatArray
    """of a click, at this place"""
    p_purchase_given_click_N: FloatArray


def chances(catalogue: SimulatedCatalogue, shoppers: Shoppers, showing: Showing) -> Chances:
    """Return the truth about every item shown."""
    parts = _parts(catalogue, shoppers, showing)
    slope_N = np.array(EXAMINATION_SLOPES, np.float32)[showing.device_N]
    p_examined_N = 1.0 / (1.0 + slope_N * (showing.position_N - 1))
    return Chances(
        p_examined_N=p_examined_N.astype(np.float32),
        p_click_N=(p_examined_N * _sigmoid(_appeal(CLICK, parts))).astype(np.float32),
        p_purchase_given_click_N=_sigmoid(_appeal(PURCHASE, parts)),
    )


def _parts(catalogue: SimulatedCatalogue, shoppers: Shoppers, showing: Showing) -> dict[str, FloatArray]:
    """Return what appeals and puts off, by the name of its weight."""
    user_N, item_N = showing.user_N, showing.item_N
    category_N = catalogue.category_V[item_N]
    return {
        "quality": catalogue.quality_V[item_N],
        "base": shoppers.base_U[user_N],
        "kind_taste": shoppers.kind_taste_UC[user_N, category_N],
        "own_taste": shoppers.own_taste_UC[user_N, category_N],
        "brand": shoppers.brand_taste_UB[user_N, catalogue.brand_V[item_N]],
        "latent": np.einsum("nl,nl->n", shoppers.latent_UL[user_N], catalogue.latent_VL[item_N]),
        "price": shoppers.price_sensitivity_U[user_N] * catalogue.price_position_V[item_N],
        "intent": (showing.intent_N == category_N).astype(np.float32),
        "daypart": shoppers.daypart_taste_DC[showing.daypart_N, category_N],
        "weekend": shoppers.weekend_taste_C[category_N] * showing.weekend_N,
        "desktop": (showing.device_N == DESKTOP).astype(np.float32),
        "shown_before": np.minimum(showing.times_shown_N, MAX_TIMES_SHOWN).astype(np.float32),
        "satiation": showing.satiation_N,
        "same_above": showing.same_above_N.astype(np.float32),
    }


def _appeal(weights: Weights, parts: dict[str, FloatArray]) -> FloatArray:
    logit_N = np.full(len(parts["quality"]), weights.intercept, np.float32)
    for name, part_N in parts.items():
        logit_N += np.float32(getattr(weights, name)) * part_N
    return logit_N


def _sigmoid(logit_N: FloatArray) -> FloatArray:
    return (1.0 / (1.0 + np.exp(-logit_N))).astype(np.float32)
