"""A shop's own products as the simulation sees them, so that simulated shoppers can visit a shop that is there.

Called by   services/command/simulate_command.py (aisle simulate --against URL --catalogue shop)
In          the shop's items
Out         the same columns as for an invented catalogue, and the identifier of each row
Tastes      simulated shoppers know 12 categories and 60 brands: each name of the shop always falls on the same one.
            Quality and latent direction are drawn; price positions are the shop's own
"""

import zlib
from collections.abc import Sequence

import numpy as np

from services.training.simulation.catalogue import CATEGORIES, LATENT_DIM, NUM_BRANDS, SimulatedCatalogue
from shared.features.catalogue import CatalogueItem, to_ms
from shared.features.events import FloatArray, IntArray

UNKNOWN_PRICE = 10.0


def catalogue_of(items: Sequence[CatalogueItem], seed: int) -> tuple[SimulatedCatalogue, tuple[str, ...]]:
    """Return the products that can be sold and their identifiers, ascending by category."""
    sold = [item for item in items if not item.deleted and (item.stock is None or item.stock > 0)]
    sold.sort(key=lambda item: (_code(item.categories[0] if item.categories else "", len(CATEGORIES)), item.item_id))
    category_V = np.array([_code(item.categories[0] if item.categories else "", len(CATEGORIES)) for item in sold])
    price_V = np.array([item.price or UNKNOWN_PRICE for item in sold], np.float32)
    rng = np.random.default_rng([seed, 1])
    size = len(sold)
    quality_V = rng.normal(0.0, 1.0, size)
    weight_V = np.exp(0.4 * quality_V + rng.normal(0.0, 0.8, size))
    catalogue = SimulatedCatalogue(
        category_V=category_V.astype(np.int32),
        brand_V=np.array([_code(item.brand or "", NUM_BRANDS) for item in sold], np.int32),
        price_V=price_V,
        price_position_V=_price_positions(category_V.astype(np.int32), price_V),
        popularity_V=(weight_V / weight_V.sum()).astype(np.float32),
        rating_V=np.array([item.rating or 3.5 for item in sold], np.float32),
        stock_V=np.minimum([item.stock or 0 for item in sold], 2**31 - 1).astype(np.int32),
        created_ms_V=np.array([to_ms(item.created_at, 0) for item in sold], np.int64),
        quality_V=quality_V.astype(np.float32),
        latent_VL=rng.normal(0.0, 1.0, (size, LATENT_DIM)).astype(np.float32),
        brand_names=tuple(f"brand {number}" for number in range(NUM_BRANDS)),
    )
    return catalogue, tuple(item.item_id for item in sold)


def _code(name: str, size: int) -> int:
    """Return the same number below `size` for the same name, in every process."""
    return zlib.crc32(name.encode()) % size


def _price_positions(category_V: IntArray, price_V: FloatArray) -> FloatArray:
    """Return the logarithm of each price against its category, mean 0 and deviation 1."""
    log_V = np.log(price_V)
    position_V = np.zeros(len(price_V), np.float32)
    for category in np.unique(category_V):
        inside_V = category_V == category
        position_V[inside_V] = (log_V[inside_V] - log_V[inside_V].mean()) / max(float(log_V[inside_V].std()), 0.1)
    return position_V
