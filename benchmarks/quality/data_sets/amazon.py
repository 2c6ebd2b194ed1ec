"""Amazon Beauty and Amazon Toys and Games, 5-core, as S3-Rec published them.

Called by   registry.py
Protocol    leave-one-out over the published order, all items, seen items left out
Features    brand and category path; Toys has the ids of its attributes only
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.quality.data_sets.data_set import ANY_LOG, DataSet, open_table
from benchmarks.quality.folder import INTERACTIONS, ITEMS, read_interactions
from benchmarks.quality.interactions import build_interactions
from shared.features.catalogue import CatalogueItem


def open_beauty(root: Path) -> DataSet:
    """Return Amazon Beauty."""
    return _open("amazon-beauty", _beauty_item, root)


def open_toys(root: Path) -> DataSet:
    """Return Amazon Toys and Games."""
    return _open("amazon-toys", _toy, root)


def _open(name: str, item_of: Callable[[dict[Any, Any]], CatalogueItem], root: Path) -> DataSet:
    raw, findings = read_interactions(root / name / INTERACTIONS, root)
    items = [item_of(row) for row in open_table(root / name / ITEMS, root).to_dict("records")]
    interactions = build_interactions(raw, {item.item_id: item for item in items}, findings=findings)
    return DataSet(name, interactions, ANY_LOG)


def _beauty_item(row: dict[Any, Any]) -> CatalogueItem:
    brand = row["brand"] if isinstance(row["brand"], str) else None
    path = tuple(name for name in row["attributes"] if name != brand)
    return CatalogueItem(str(row["item_id"]), title=row["title"], brand=brand, categories=path)


def _toy(row: dict[Any, Any]) -> CatalogueItem:
    brand_id = row["brand_attribute_id"]
    brand = str(int(brand_id)) if brand_id == brand_id else None
    path = tuple(str(name) for name in row["attribute_ids"] if str(name) != brand)
    return CatalogueItem(str(row["item_id"]), brand=brand, categories=path)
