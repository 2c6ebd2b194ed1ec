"""An item as a reply shows it: the fields that the request asked for.

Called by   services/ranking/rank.py, services/ranking/similar.py
"""

from collections.abc import Sequence
from typing import Any

from shared.features.catalogue import CatalogueItem

PLAIN_FIELDS = ("title", "description", "brand", "price", "currency", "stock", "rating", "attributes", "image_url")
TIME_FIELDS = ("available_from", "available_until", "created_at")


def shown(item: CatalogueItem, fields: Sequence[str]) -> dict[str, Any] | None:
    """Return the wanted fields of an item, None when none is wanted; unknown names are left out."""
    if not fields:
        return None
    wanted: dict[str, Any] = {name: getattr(item, name) for name in fields if name in PLAIN_FIELDS}
    if "categories" in fields:
        wanted["categories"] = list(item.categories)
    for name in fields:
        if name in TIME_FIELDS:
            moment = getattr(item, name)
            wanted[name] = None if moment is None else moment.isoformat()
    return wanted
