"""Small logs for tests of training: written out by hand, drawn at random, or of the tiny shop.

Called by   tests/unit/training, tests/integration/test_training_*.py
"""

from collections.abc import Sequence

import numpy as np

from services.training.examples.event_log import EventLog
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.recommendation import Context
from shared.features.catalogue import Catalogue
from shared.features.events import EventWindow, IntArray
from tests.tiny_shop import SHOPPERS, tiny_items, tiny_log

PURCHASE = EVENT_TYPE_CODES[EventType.PURCHASE]
DAY_MS = 86_400_000


def log_of(*shoppers: Sequence[tuple[int, int]], type_code: int = PURCHASE) -> EventLog:
    """Return the log of shoppers, each a list of (time in ms, catalogue row)."""
    lines = [line for shopper in shoppers for line in shopper]
    at_ms = np.array([line[0] for line in lines], np.int64)
    row = np.array([line[1] for line in lines], np.int32)
    size = [len(shopper) for shopper in shoppers]
    return EventLog(
        tuple(f"u:{place}" for place in range(len(shoppers))),
        np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
        EventWindow(
            row,
            np.full(len(row), type_code, np.int8),
            at_ms,
            np.full(len(row), 2.0, np.float32),
            np.ones(len(row), np.float32),
        ),
        np.full(len(row), np.nan, np.float32),
        (Context(),),
        np.zeros(len(row), np.int32),
    )


def random_log(users: int, items: int, events: int, seed: int = 0) -> EventLog:
    """Return shoppers who buy one of two halves of the items, in baskets of one to three, one a day."""
    random = np.random.default_rng(seed)
    shoppers = []
    for user in range(users):
        half = (user % 2) * (items // 2)
        lines: list[tuple[int, int]] = []
        day = 1
        while len(lines) < events:
            basket = random.choice(items // 2, int(random.integers(1, 4)), replace=False)
            lines += [(day * DAY_MS, half + int(item)) for item in sorted(basket)]
            day += 1
        shoppers.append(lines)
    return log_of(*shoppers)


def tiny_event_log() -> tuple[Catalogue, EventLog]:
    """Return the tiny shop's catalogue and log; items keep their places."""
    catalogue, log = Catalogue(tiny_items()), tiny_log()
    shoppers = [
        list(zip(log.at_ms_E[log.user_E == user].tolist(), log.item_E[log.user_E == user].tolist(), strict=True))
        for user in range(SHOPPERS)
    ]
    return catalogue, log_of(*shoppers)


def every_row(items: int) -> IntArray:
    """Return the code of each row when every row is in the vocabulary, in order."""
    return np.arange(items, dtype=np.int32)
