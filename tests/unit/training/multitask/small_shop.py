"""A small shop whose funnel is known: examples for tests of the ranker.

Truth   a click is likelier for items of the category looked at last, and at the top; a purchase for cheap items
"""

from dataclasses import dataclass

import numpy as np

from services.training.multitask.config import MultitaskConfig
from services.training.multitask.examples import RankerExamples
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.models.multitask_inputs import CategoryField, RankerFields, RankerRows
from shared.models.multitask_layers import RankerShape

CATEGORIES, ITEMS, PER_REQUEST = 5, 40, 6
FIELDS = RankerFields(
    request_numbers=("activity",),
    request_categories=(CategoryField("device", 3),),
    item_numbers=("price", "constant", "rating", "repeat_count", "hour_affinity"),
    item_categories=(CategoryField("item", ITEMS + 1), CategoryField("category", CATEGORIES + 1)),
    history=("item", "category"),
    max_history=4,
    tasks=("click", "purchase"),
)

SMALL = MultitaskConfig(
    shape=RankerShape(embedding=4, width=16, cross=8, experts=2, expert=16, tower=8, dropout=0.0),
    epochs=6,
    batch=512,
    learning_rate=1e-2,
    averaging=0.98,
)


@dataclass(frozen=True)
class SmallShop:
    """Examples and the chances that made them."""

    examples: RankerExamples
    truth_NT: np.ndarray


def small_shop(requests: int, seed: int = 1) -> SmallShop:
    """Return a log of the shop."""
    rng = np.random.default_rng(seed)
    item_RL = rng.integers(1, ITEMS + 1, (requests, 4))
    length_R = rng.integers(0, 5, requests)
    there_RL = np.arange(4) < length_R[:, None]
    history_RLH = np.where(there_RL[:, :, None], np.stack([item_RL, category_of(item_RL)], axis=2), 0)
    item_RK = np.argsort(rng.random((requests, ITEMS)), axis=1)[:, :PER_REQUEST] + 1
    position_RK = np.tile(np.arange(1, PER_REQUEST + 1), (requests, 1))
    price_RK = rng.normal(size=item_RK.shape)
    same_RK = (category_of(item_RK) == history_RLH[:, :1, 1]) & there_RL[:, :1]
    seen_RK = 1 / (1 + 0.3 * (position_RK - 1))
    click_RK = seen_RK / (1 + np.exp(2.2 - 2.0 * same_RK - 0.1 * category_of(item_RK)))
    buy_RK = click_RK / (1 + np.exp(0.5 + 1.5 * price_RK))
    draw_RK = rng.random(item_RK.shape)
    truth_NT = np.stack([click_RK.ravel(), buy_RK.ravel()], axis=1)
    label_NT = np.stack([(draw_RK < click_RK).ravel(), (draw_RK < buy_RK).ravel()], axis=1)
    rows = RankerRows(
        rng.normal(size=(requests, 1)).astype(np.float32),
        rng.integers(1, 3, (requests, 1)).astype(np.int32),
        np.column_stack(
            [
                price_RK.ravel(),
                np.ones(price_RK.size),
                rng.normal(size=(price_RK.size, 3)),
            ]  # the last three say nothing
        ).astype(np.float32),
        np.stack([item_RK.ravel(), category_of(item_RK).ravel()], axis=1).astype(np.int32),
        history_RLH.astype(np.int32),
        np.where(there_RL, EVENT_TYPE_CODES[EventType.VIEW] + 1, 0).astype(np.int32),
        np.where(there_RL, 60.0 * (1 + np.arange(4)), 0).astype(np.float32),
        np.repeat(np.arange(requests, dtype=np.int32), PER_REQUEST),
        position_RK.ravel().astype(np.int32),
    )
    return SmallShop(RankerExamples(rows, label_NT), truth_NT)


def category_of(item: np.ndarray) -> np.ndarray:
    """Return the category of items, both from 1."""
    return (item - 1) % CATEGORIES + 1
