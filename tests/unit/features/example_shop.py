"""A small shop and its shoppers' events, as the feature tests need them.

Called by   tests/unit/features
"""

from collections.abc import Sequence

import numpy as np

from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import Profile
from shared.features.affinity import FieldColumn, fit_affinity
from shared.features.candidates import CandidateFeatures, CandidateTables, Query
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.context import ContextValues
from shared.features.events import EventWindow, events_before
from shared.features.item import ItemActivity
from shared.features.user import DAY_MS, user_features
from shared.features.vocabulary import Vocabulary

NOW_MS = 1_760_000_000_000

ITEMS = (
    CatalogueItem("apple", categories=("food", "fruit"), brand="farm", price=1.0, stock=5, rating=4.5),
    CatalogueItem("mango", categories=("food", "fruit"), brand="farm", price=3.0, stock=0),
    CatalogueItem("bread", categories=("food", "bakery"), brand="mill", price=2.0),
    CatalogueItem("razor", categories=("care", "shaving"), brand="edge", price=10.0),
    CatalogueItem("foam", categories=("care", "shaving"), brand="edge", price=5.0),
    CatalogueItem("mystery"),
)

Line = tuple[str, EventType, float]
"""item id, event type, days before NOW_MS"""


def shop(items: Sequence[CatalogueItem] = ITEMS) -> Catalogue:
    """Return the catalogue."""
    return Catalogue(items)


def events(catalogue: Catalogue, lines: Sequence[Line], prices: dict[str, float] | None = None) -> EventWindow:
    """Return events, oldest first, whatever the order of the lines."""
    ordered = sorted(lines, key=lambda line: -line[2])
    paid = prices or {}
    return EventWindow(
        catalogue.rows([item_id for item_id, _, _ in ordered]),
        np.array([EVENT_TYPE_CODES[event_type] for _, event_type, _ in ordered], np.int8),
        np.array([NOW_MS - round(days * DAY_MS) for _, _, days in ordered], np.int64),
        np.array([paid.get(item_id, np.nan) for item_id, _, _ in ordered], np.float32),
        np.ones(len(ordered), np.float32),
    )


def bought(*item_ids: str, days: float = 1.0) -> list[Line]:
    """Return purchases, one day before each other, the last `days` before NOW_MS."""
    return [(item_id, EventType.PURCHASE, days + place) for place, item_id in enumerate(reversed(item_ids))]


def query(catalogue: Catalogue, lines: Sequence[Line] = (), **known: object) -> Query:
    """Return a question at NOW_MS; `known` holds fields of ContextValues, and `profile`."""
    profile = known.pop("profile", None)
    assert profile is None or isinstance(profile, Profile)
    context = ContextValues(**{"hour": 12, "weekday": 0, "season": "summer"} | known)  # type: ignore[arg-type]
    window = events_before(events(catalogue, lines), NOW_MS)
    return Query(window, user_features(window, catalogue, NOW_MS), context, profile, NOW_MS)


def feature_of(features: CandidateFeatures, name: str, item_id: str, asked: Query) -> float:
    """Return one feature of one candidate."""
    matrix_CF = features.matrix(features.catalogue.rows([item_id]), asked)
    return float(matrix_CF[0, features.names.index(name)])


def learnt_tables() -> CandidateTables:
    """Return tables in which value "x" of every field buys food and value "y" buys care."""
    values, categories = ["x"] * 400 + ["y"] * 400, ["food"] * 400 + ["care"] * 400
    column = FieldColumn.of(values)
    names = (
        "season",
        "store",
        "device",
        "network",
        "region",
        "age_band",
        "gender",
        "attribute:kids",
        "attribute:income",
    )
    clock = {
        "hour": FieldColumn.of(["8"] * 400 + ["20"] * 400),
        "weekday": FieldColumn.of(["1"] * 400 + ["6"] * 400),
    }
    activity = ItemActivity(
        ["apple", "razor"], np.array([2, 1], np.float32), np.array([3, 0], np.float32), np.array([4, 2], np.float32)
    )
    affinity = fit_affinity(dict.fromkeys(names, column) | clock, FieldColumn.of(categories))
    return CandidateTables(affinity, activity, Vocabulary(["food", "care"]))
