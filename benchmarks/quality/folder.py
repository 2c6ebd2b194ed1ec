"""Read a folder with interactions.parquet and, if there is one, items.parquet.

Called by   data_sets/__init__.py, for any folder and for the named sets that have this form
Columns     interactions: user_id, item_id, position and/or timestamp, optional event.
            items: item_id, optional title, description, category (a text or a list, broadest first), brand, price
Errors      MissingDataError without the file, MalformedFileError with file, row and column
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks.quality.errors import MissingDataError
from benchmarks.quality.findings import Finding, found
from benchmarks.quality.interactions import Interactions, build_interactions
from services.training.importing.cells import numbers, texts
from services.training.importing.errors import MalformedFileError
from services.training.importing.parquet_file import parquet_columns, read_parquet
from services.training.importing.raw_table import RawTable
from shared.features.catalogue import CatalogueItem

INTERACTIONS, ITEMS = "interactions.parquet", "items.parquet"
INTERACTION_COLUMNS = ("user_id", "item_id", "position", "timestamp", "event")
ITEM_COLUMNS = ("item_id", "title", "description", "category", "brand", "price")


def read_folder(folder: Path, root: Path) -> Interactions:
    """Return what a folder holds."""
    raw, findings = read_interactions(folder / INTERACTIONS, root)
    items, item_findings = read_items(folder / ITEMS) if (folder / ITEMS).exists() else ({}, ())
    return build_interactions(raw, items, findings=findings + item_findings)


def read_interactions(path: Path, root: Path) -> tuple[RawTable, tuple[Finding, ...]]:
    """Return the columns that are understood, and a finding of those that are not."""
    if not path.exists():
        raise MissingDataError(path, root)
    columns = parquet_columns(path)
    for needed in ("user_id", "item_id"):
        if needed not in columns:
            raise MalformedFileError(path, "this column is missing", column=repr(needed))
    if "position" not in columns and "timestamp" not in columns:
        raise MalformedFileError(path, "one of them is needed to know the order", column="'position' or 'timestamp'")
    return read_parquet(path, _known(columns, INTERACTION_COLUMNS)), _unknown(path, columns, INTERACTION_COLUMNS)


def read_items(path: Path) -> tuple[dict[str, CatalogueItem], tuple[Finding, ...]]:
    """Return the items by id."""
    columns = parquet_columns(path)
    if "item_id" not in columns:
        raise MalformedFileError(path, "this column is missing", column="'item_id'")
    raw = read_parquet(path, _known(columns, ITEM_COLUMNS))
    ids = texts(raw, "item_id").to_pylist()
    if None in ids:
        raise raw.malformed(ids.index(None), "item_id", "expected an identifier")
    paths = raw.columns["category"].to_pylist() if "category" in columns else [None] * len(ids)
    cells = {name: _texts(raw, name) for name in ("title", "description", "brand")}
    price_R = numbers(raw, "price").tolist() if "price" in columns else [float("nan")] * len(ids)
    rows = zip(ids, cells["title"], cells["description"], paths, cells["brand"], price_R, strict=True)
    items = {
        item_id: CatalogueItem(
            item_id,
            title=title,
            description=description,
            categories=category_path(category),
            brand=brand,
            price=None if price != price else price,
        )
        for item_id, title, description, category, brand, price in rows
    }
    again = found("rows that describe an item again", len(ids) - len(items), "the last one counts")
    return items, _unknown(path, columns, ITEM_COLUMNS) + again


def category_path(cell: Any) -> tuple[str, ...]:
    """Return a category cell as a path, broadest first."""
    if cell is None:
        return ()
    return tuple(str(name) for name in cell) if isinstance(cell, list) else (str(cell),)


def _texts(raw: RawTable, name: str) -> list[Any]:
    cells: list[Any] = texts(raw, name).to_pylist() if name in raw.columns else [None] * raw.num_rows
    return cells


def _known(columns: Collection[str], names: Collection[str]) -> list[str]:
    return [name for name in columns if name in names]


def _unknown(path: Path, columns: Collection[str], names: Collection[str]) -> tuple[Finding, ...]:
    strange = [name for name in columns if name not in names]
    return found(f"unknown columns of {path.name}", len(strange), "not read", ", ".join(strange))
