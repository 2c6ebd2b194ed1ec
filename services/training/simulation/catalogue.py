"""The products of the simulated shop: what everybody can read of them, and the appeal that only shoppers feel.

Called by   world.py
Out         SimulatedCatalogue; item_json in the words of POST /items
Dimensions  V items, C categories, B brands, L latent dimensions
Hidden      quality_V and latent_VL never leave the simulation; the rating is a noisy reading of quality
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from services.training.simulation.config import DAY_MS, SimulationConfig
from shared.features.events import FloatArray, IntArray, LongArray

LATENT_DIM = 4
NUM_BRANDS = 60
BRANDS_PER_CATEGORY = 12
CURRENCY = "EUR"
NOUNS = {
    "Shoes": ("Sneaker", "Boot", "Sandal", "Loafer"),
    "Dresses": ("Summer Dress", "Maxi Dress", "Wrap Dress", "Skirt"),
    "Shirts": ("Shirt", "Polo", "Blouse", "T-Shirt"),
    "Bags": ("Backpack", "Tote", "Shoulder Bag", "Wallet"),
    "Audio": ("Headphones", "Speaker", "Earbuds", "Radio"),
    "Phones": ("Phone", "Charger", "Phone Case", "Power Bank"),
    "Computers": ("Laptop", "Keyboard", "Monitor", "Mouse"),
    "Kitchen": ("Pan", "Kettle", "Knife Set", "Blender"),
    "Garden": ("Planter", "Hose", "Grill", "Lantern"),
    "Toys": ("Puzzle", "Building Set", "Doll", "Board Game"),
    "Books": ("Novel", "Cookbook", "Atlas", "Biography"),
    "Sports": ("Yoga Mat", "Dumbbell", "Bicycle Lamp", "Ball"),
}
CATEGORIES = tuple(NOUNS)
MEDIAN_PRICES = (70.0, 60.0, 30.0, 55.0, 90.0, 180.0, 350.0, 45.0, 40.0, 25.0, 15.0, 35.0)
ADJECTIVES = ("Classic", "Light", "Urban", "Nordic", "Compact", "Royal", "Simple", "Vivid", "Quiet", "Bold")
SYLLABLES = ("al", "bo", "cor", "den", "el", "fi", "gra", "hel", "is", "jo", "ka", "lum", "mo", "nor", "or", "pri")


@dataclass(frozen=True)
class SimulatedCatalogue:
    """All products as columns, ascending by category; item v has the identifier item_id(v)."""

    category_V: IntArray
    brand_V: IntArray
    price_V: FloatArray
    price_position_V: FloatArray
    """logarithm of the price against its category, mean 0 and deviation 1"""
    popularity_V: FloatArray
    """share of attention the shop's old lists give it, sums to 1"""
    rating_V: FloatArray
    stock_V: IntArray
    created_ms_V: LongArray
    quality_V: FloatArray
    latent_VL: FloatArray
    brand_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.category_V)

    def title(self, item: int) -> str:
        """Return the product's name: its brand, a word, what it is, and a number."""
        nouns = NOUNS[CATEGORIES[self.category_V[item]]]
        words = (ADJECTIVES[item // 7 % len(ADJECTIVES)], nouns[item % len(nouns)])
        return f"{self.brand_names[self.brand_V[item]]} {' '.join(words)} {item % 89 + 10}"

    def price(self, item: int) -> float:
        """Return the price with its cents, without the digits that float32 adds."""
        return round(float(self.price_V[item]), 2)

    def item_json(self, item: int) -> dict[str, Any]:
        """Return the product as POST /items takes it."""
        return {
            "item_id": item_id(item),
            "title": self.title(item),
            "categories": [CATEGORIES[self.category_V[item]]],
            "brand": self.brand_names[self.brand_V[item]],
            "price": self.price(item),
            "currency": CURRENCY,
            "stock": int(self.stock_V[item]),
            "rating": round(float(self.rating_V[item]), 1),
            "created_at": datetime.fromtimestamp(int(self.created_ms_V[item]) / 1000, UTC).isoformat(),
        }


def item_id(item: int) -> str:
    """Return the identifier that the shop gives to item number `item`."""
    return f"sim-i{item}"


def make_catalogue(config: SimulationConfig, rng: np.random.Generator) -> SimulatedCatalogue:
    """Draw the products."""
    size = config.num_items
    every = np.arange(len(CATEGORIES))
    category_V = np.sort(np.append(every, rng.integers(0, len(every), size - len(every)))).astype(np.int32)
    brand_CB = np.array([rng.choice(NUM_BRANDS, BRANDS_PER_CATEGORY, replace=False) for _ in CATEGORIES])
    spread_V = rng.normal(0.0, 0.5, size)
    price_V = np.round(np.array(MEDIAN_PRICES)[category_V] * np.exp(spread_V), 2)
    quality_V = rng.normal(0.0, 1.0, size)
    weight_V = np.exp(0.4 * quality_V + rng.normal(0.0, 0.8, size))
    return SimulatedCatalogue(
        category_V=category_V,
        brand_V=brand_CB[category_V, rng.integers(0, BRANDS_PER_CATEGORY, size)].astype(np.int32),
        price_V=price_V.astype(np.float32),
        price_position_V=(spread_V / 0.5).astype(np.float32),
        popularity_V=(weight_V / weight_V.sum()).astype(np.float32),
        rating_V=np.round(np.clip(3.6 + 0.5 * quality_V + rng.normal(0.0, 0.3, size), 1.0, 5.0), 1).astype(np.float32),
        stock_V=rng.integers(5, 500, size).astype(np.int32),
        created_ms_V=config.start_ms - (rng.exponential(200.0, size) * DAY_MS).astype(np.int64) // 1000 * 1000,
        quality_V=quality_V.astype(np.float32),
        latent_VL=rng.normal(0.0, 1.0, (size, LATENT_DIM)).astype(np.float32),
        brand_names=_brand_names(rng),
    )


def _brand_names(rng: np.random.Generator) -> tuple[str, ...]:
    """Return invented names, each once."""
    names: dict[str, None] = {}
    while len(names) < NUM_BRANDS:
        names["".join(rng.choice(SYLLABLES, 3, replace=False)).capitalize()] = None
    return tuple(names)
