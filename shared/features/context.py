"""What the moment and the place say: hour, weekday, season, device, network, store, district, budget.

Called by   services/ranking (the request's context), services/training (the context stored with each event)
In          Context or None, as_of_ms, the shop's time zone
Time        context.local_time wins over as_of_ms: it is the clock on the shopper's wall
Place       coordinates become a district: a cell of DISTRICT_DEGREES (about 11 km north to south), named by its
            south-west corner; it stands for the region when neither region nor store is given
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.contracts.internal import Profile
from shared.contracts.recommendation import Context
from shared.features.definition import FeatureDefinition
from shared.features.events import LongArray

DISTRICT_DEGREES = 0.1
QUARTER_MS = 900_000
HOUR_MS = 3_600_000
SEASONS = ("winter", "spring", "summer", "autumn")
ATTRIBUTE_PREFIX = "attribute:"


def _context(name: str, meaning: str) -> FeatureDefinition:
    return FeatureDefinition(name, "context", "category", "now", None, meaning)


CONTEXT_DEFINITIONS = (
    _context("hour", "hour on the shopper's clock, 0 to 23"),
    _context("weekday", "0 Monday to 6 Sunday on the shopper's clock"),
    _context("season", "of the northern half of the Earth by month; turned round for a southern latitude"),
    _context("device", "as the shop names it, lower case"),
    _context("network", "as the shop names it, lower case"),
    _context("store", "the shop's branch"),
    _context("region", "of the request, else the district of its coordinates, else of the profile; lower case"),
    _context("category", "the category page the list stands on"),
    FeatureDefinition("budget_min", "context", "float32", "now", 0.0, "least price asked for; 0 when not given"),
    FeatureDefinition("budget_max", "context", "float32", "now", 0.0, "highest price asked for; 0 when not given"),
    _context("age_band", "of the profile"),
    _context("gender", "of the profile, lower case"),
    _context("attribute", "each of the profile's other attributes, under its own name"),
)


@dataclass(frozen=True)
class ContextValues:
    """The context as features read it; None is unknown."""

    hour: int
    weekday: int
    season: str
    device: str | None = None
    network: str | None = None
    store: str | None = None
    region: str | None = None
    category: str | None = None
    item_id: str | None = None
    budget_min: float | None = None
    budget_max: float | None = None


def context_features(context: Context | None, as_of_ms: int, zone: tzinfo) -> ContextValues:
    """Return the context's values at a moment."""
    known = context or Context()
    clock = known.local_time or datetime.fromtimestamp(as_of_ms / 1000, zone)
    season = season_code(clock.month)
    if known.latitude is not None and known.latitude < 0:
        season = (season + 2) % 4
    return ContextValues(
        hour=clock.hour,
        weekday=clock.weekday(),
        season=SEASONS[season],
        device=_plain(known.device),
        network=_plain(known.network),
        store=known.store,
        region=_plain(known.region) or (district(known.latitude, known.longitude) if known.store is None else None),
        category=known.category,
        item_id=known.item_id,
        budget_min=known.budget.min if known.budget else None,
        budget_max=known.budget.max if known.budget else None,
    )


def affinity_values(context: ContextValues, profile: Profile | None) -> dict[str, str]:
    """Return the known value of every field that has an affinity table, by field name."""
    shopper = profile or Profile()
    values = {
        "hour": str(context.hour),
        "weekday": str(context.weekday),
        "season": context.season,
        "device": context.device,
        "network": context.network,
        "store": context.store,
        "region": context.region or _plain(shopper.region),
        "age_band": shopper.age_band,
        "gender": _plain(shopper.gender),
    }
    values |= {ATTRIBUTE_PREFIX + name: value for name, value in shopper.attributes.items()}
    return {field: value for field, value in values.items() if value}


def context_of_event(stored: Mapping[str, Any]) -> Context:
    """Return the part of an event's free context that features read; a value of the wrong kind is left out."""
    known: dict[str, Any] = {
        name: stored[name] for name in ("device", "network", "region", "category") if isinstance(stored.get(name), str)
    }
    store = stored.get("store")
    if isinstance(store, str | int) and not isinstance(store, bool):
        known["store"] = str(store)
    for name, bound in (("latitude", 90), ("longitude", 180)):
        degrees = stored.get(name)
        if isinstance(degrees, int | float) and abs(degrees) <= bound:
            known[name] = float(degrees)
    return Context.model_construct(**known)


def district(latitude: float | None, longitude: float | None) -> str | None:
    """Return the name of the cell that holds a place, such as "district 52.5 13.4"."""
    if latitude is None or longitude is None:
        return None
    south, west = (
        math.floor(degrees / DISTRICT_DEGREES + 1e-9) * DISTRICT_DEGREES for degrees in (latitude, longitude)
    )
    return f"district {south:.1f} {west:.1f}"


def season_code(month: int) -> int:
    """Return the place in SEASONS of a month from 1 to 12: December is winter."""
    return month % 12 // 3


def local_clock(at_ms_E: LongArray, zone: tzinfo) -> tuple[npt.NDArray[np.int64], ...]:
    """Return hour, weekday and season code of many moments: the same as context_features gives one by one.

    Zones change their offset on quarters of an hour only, so each quarter in the data is asked for once.
    """
    quarter_Q, quarter_E = np.unique(at_ms_E // QUARTER_MS, return_inverse=True)
    clocks = [
        datetime.fromtimestamp(quarter * QUARTER_MS // 1000, UTC).astimezone(zone) for quarter in quarter_Q.tolist()
    ]
    columns = ([c.hour for c in clocks], [c.weekday() for c in clocks], [season_code(c.month) for c in clocks])
    return tuple(np.array(column, np.int64)[quarter_E] for column in columns)


def _plain(text: str | None) -> str | None:
    """Return a value the shop may spell in several ways in one spelling."""
    return text.strip().casefold() if text else None
