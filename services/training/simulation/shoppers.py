"""The shoppers of the simulated shop: who they are (the shop knows), what they like and can afford (nobody does).

Called by   world.py
Out         Shoppers; user_json in the words of POST /users
Dimensions  U shoppers, C categories, B brands, L latent dimensions, D parts of the day
Tastes      of age and gender for categories, shared by all of a kind, plus a taste of one's own; a few favourite
            brands; a direction in the latent space of products; sensitivity to prices by age and region
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from services.training.simulation.catalogue import CATEGORIES, LATENT_DIM, NUM_BRANDS
from services.training.simulation.config import SimulationConfig
from shared.features.events import FloatArray, IntArray

AGE_BANDS = ("19-24", "25-34", "35-44", "45-54", "55-64", "65+")
AGE_SHARES = (0.14, 0.26, 0.22, 0.16, 0.12, 0.10)
GENDERS = ("female", "male")
REGIONS = ("north", "south", "east", "west", "coast")
NUM_DAYPARTS = 4
"""night, morning, afternoon, evening: six hours each"""
SHARE_OF_FAVOURITE_BRANDS = 0.08


@dataclass(frozen=True)
class Shoppers:
    """All shoppers as columns; shopper u has the identifier user_id(u)."""

    age_U: IntArray
    gender_U: IntArray
    region_U: IntArray
    activity_U: FloatArray
    """sessions against the mean shopper"""
    mobile_U: FloatArray
    """chance that a session is on a phone"""
    base_U: FloatArray
    """how easily they click at all"""
    price_sensitivity_U: FloatArray
    kind_taste_UC: FloatArray
    """what everybody of their age and gender likes, deviation 1"""
    own_taste_UC: FloatArray
    brand_taste_UB: FloatArray
    """1 for a favourite brand, 0 for the others"""
    latent_UL: FloatArray
    daypart_taste_DC: FloatArray
    """what sells at which part of the day, to everybody"""
    weekend_taste_C: FloatArray

    def __len__(self) -> int:
        return len(self.age_U)

    def user_json(self, user: int) -> dict[str, Any]:
        """Return the shopper as POST /users takes them."""
        return {
            "user_id": user_id(user),
            "age_band": AGE_BANDS[self.age_U[user]],
            "gender": GENDERS[self.gender_U[user]],
            "region": REGIONS[self.region_U[user]],
        }


def user_id(user: int) -> str:
    """Return the identifier that the shop gives to shopper number `user`."""
    return f"sim-u{user}"


def make_shoppers(config: SimulationConfig, rng: np.random.Generator) -> Shoppers:
    """Draw the shoppers."""
    size, categories = config.num_users, len(CATEGORIES)
    age_U = rng.choice(len(AGE_BANDS), size, p=AGE_SHARES).astype(np.int32)
    gender_U = rng.integers(0, len(GENDERS), size).astype(np.int32)
    region_U = rng.integers(0, len(REGIONS), size).astype(np.int32)
    kinds_AGC = (
        rng.normal(0.0, 0.65, (len(AGE_BANDS), 1, categories))
        + rng.normal(0.0, 0.55, (1, len(GENDERS), categories))
        + rng.normal(0.0, 0.5, (len(AGE_BANDS), len(GENDERS), categories))
    )
    thrift_A = np.linspace(0.5, -0.5, len(AGE_BANDS))
    thrift_R = rng.normal(0.0, 0.3, len(REGIONS))
    return Shoppers(
        age_U=age_U,
        gender_U=gender_U,
        region_U=region_U,
        activity_U=rng.gamma(2.0, 0.5, size).astype(np.float32),
        mobile_U=np.clip(rng.normal(0.75 - 0.08 * age_U, 0.15), 0.05, 0.95).astype(np.float32),
        base_U=rng.normal(0.0, 1.0, size).astype(np.float32),
        price_sensitivity_U=np.exp(thrift_A[age_U] + thrift_R[region_U] + rng.normal(0.0, 0.25, size)).astype(
            np.float32
        ),
        kind_taste_UC=kinds_AGC[age_U, gender_U].astype(np.float32),
        own_taste_UC=rng.normal(0.0, 1.0, (size, categories)).astype(np.float32),
        brand_taste_UB=(rng.random((size, NUM_BRANDS)) < SHARE_OF_FAVOURITE_BRANDS).astype(np.float32),
        latent_UL=rng.normal(0.0, LATENT_DIM**-0.5, (size, LATENT_DIM)).astype(np.float32),
        daypart_taste_DC=rng.normal(0.0, 1.0, (NUM_DAYPARTS, categories)).astype(np.float32),
        weekend_taste_C=rng.normal(0.0, 1.0, categories).astype(np.float32),
    )
