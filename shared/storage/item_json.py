"""A catalogue item as JSON on the change stream and in the popular lists, and back.

Called by   shared/storage/live_catalogue.py, services/feature (publishes changes), services/gateway (reads them)
Times       ISO 8601; identifiers as strings, `is_integer` says how the shop writes them
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from shared.features.catalogue import CatalogueItem

MOMENTS = ("available_from", "available_until", "created_at")


def item_to_json(item: CatalogueItem) -> dict[str, Any]:
    """Return an item as values of JSON."""
    values = asdict(item)
    for name in MOMENTS:
        moment: datetime | None = values[name]
        values[name] = None if moment is None else moment.isoformat()
    return values


def item_from_json(values: dict[str, Any]) -> CatalogueItem:
    """Return the item again; fields of a later version of Aisle are ignored."""
    known = {name: value for name, value in values.items() if name in CatalogueItem.__dataclass_fields__}
    for name in MOMENTS:
        if known.get(name) is not None:
            known[name] = datetime.fromisoformat(known[name])
    known["categories"] = tuple(known.get("categories") or ())
    return CatalogueItem(**known)
