"""A made-up shop, small enough to read: six departments, sixty products, forty shoppers with habits.

Called by   tests/tiny_bundle.py and tests that need a catalogue whose right answers are known
Habits      coffee in the morning, wine in the evening; bread, coffee and wine are bought again and again, lamps once;
            young shoppers buy snacks; everybody has a favourite department
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.features.catalogue import CatalogueItem
from shared.features.events import IntArray, LongArray

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
UNTIL_MS = int(UNTIL.timestamp() * 1000)

DEPARTMENTS = ("coffee", "bread", "wine", "snacks", "lamps", "chairs")
CONSUMABLE = ("coffee", "bread", "wine", "snacks")
KINDS = ("plain", "fine")
ITEMS_PER_KIND = 5
SHOPPERS = 40
VISITS = 20


def tiny_items() -> list[CatalogueItem]:
    """Return the products; ids are "coffee-plain-0" and so on, prices rise with the number."""
    return [
        CatalogueItem(
            item_id=f"{department}-{kind}-{number}",
            title=f"{kind.title()} {department} no. {number}",
            description=f"{kind} {department}",
            categories=(department, f"{kind} {department}"),
            brand=f"brand {number}",
            price=round(
                (10.0 if department in CONSUMABLE else 80.0) * (1 + number) * (1.5 if kind == "fine" else 1), 2
            ),
            currency="EUR",
            stock=100,
            created_at=datetime(2025, 1, 1, tzinfo=UTC),
        )
        for department in DEPARTMENTS
        for kind in KINDS
        for number in range(ITEMS_PER_KIND)
    ]


@dataclass(frozen=True)
class TinyLog:
    """All purchases, ordered by shopper and time; a basket's lines share a time."""

    user_E: IntArray
    item_E: IntArray
    """place in tiny_items()"""
    at_ms_E: LongArray
    age_band_U: tuple[str, ...]

    @property
    def type_E(self) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
        """Return the event type of each line: a purchase."""
        return np.full(len(self.user_E), EVENT_TYPE_CODES[EventType.PURCHASE], np.int8)


def tiny_log(until_ms: int = UNTIL_MS, seed: int = 0) -> TinyLog:
    """Return what the shoppers bought in the sixty days before a moment."""
    random = np.random.default_rng(seed)
    lines: list[tuple[int, int, int]] = []
    bands = tuple("19-24" if user % 2 else "45-54" for user in range(SHOPPERS))
    for user in range(SHOPPERS):
        owned: set[int] = set()
        for visit in range(VISITS):
            department, hour = _visit(user, bands[user], random)
            at_ms = until_ms - (60 - 3 * visit) * DAY_MS + hour * HOUR_MS
            basket = {_choose(department, user, random), _choose("bread", user, random)}
            for item in sorted(basket):
                if item not in owned:
                    lines.append((user, item, at_ms))
                if DEPARTMENTS[item // (len(KINDS) * ITEMS_PER_KIND)] not in CONSUMABLE:
                    owned.add(item)
    user_E, item_E, at_ms_E = (np.array(column) for column in zip(*lines, strict=True))
    return TinyLog(user_E.astype(np.int32), item_E.astype(np.int32), at_ms_E.astype(np.int64), bands)


def _visit(user: int, band: str, random: np.random.Generator) -> tuple[str, int]:
    """Return the department and the hour of one visit."""
    favourite = DEPARTMENTS[user % len(DEPARTMENTS)]
    department = str(random.choice([favourite, favourite, "coffee", "wine", "snacks" if band == "19-24" else "chairs"]))
    return department, {"coffee": 8, "wine": 19}.get(department, 13)


def _choose(department: str, user: int, random: np.random.Generator) -> int:
    """Return one product; each shopper keeps to one kind, and lower numbers sell better."""
    number = min(int(random.geometric(0.4)) - 1, ITEMS_PER_KIND - 1)
    place = DEPARTMENTS.index(department) * len(KINDS) + user // len(DEPARTMENTS) % len(KINDS)
    return place * ITEMS_PER_KIND + number
