"""A file of products to catalogue items.

Called by   import_catalogue.py
Categories  a list, several mapped columns (broadest first), or one text with the path written "a > b" or "a | b"
Attributes  numbers stay numbers, in CSV when the whole column is numeric, so that filters can order them
Errors      MalformedFileError, MappingError
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.training.importing.cells import NUMBER, are_integers, identifiers, numbers, texts, times
from services.training.importing.mapping import ColumnMapping
from services.training.importing.raw_table import RawTable
from services.training.importing.readers import read_mapped
from services.training.importing.records import Records, build_records
from services.training.importing.times import NOT_A_TIME
from shared.contracts.catalogue import Item
from shared.features.catalogue import CatalogueItem

TEXTS = ("title", "description", "brand", "currency", "image_url")
NUMBERS = ("price", "stock", "rating")
MOMENTS = ("available_from", "available_until", "created_at")
PATH_MARK = re.compile(r"\s*[>|]\s*")
Columns = Mapping[str, tuple[str, ...]]


def read_items(path: Path, mapping: ColumnMapping, zone: tzinfo) -> tuple[RawTable, Records[CatalogueItem]]:
    """Return the file and its items."""
    raw, columns = read_mapped(path, mapping)
    is_integer = are_integers(raw, columns["item_id"][0])
    rows = _rows(_fields(raw, columns, zone), raw.num_rows)
    return raw, build_records(rows, "item_id", lambda row: _item(row, is_integer))


def _fields(raw: RawTable, columns: Columns, zone: tzinfo) -> dict[str, list[Any]]:
    """Return the cells of each field as plain values."""
    fields: dict[str, list[Any]] = {"item_id": identifiers(raw, columns["item_id"][0]).to_pylist()}
    for name in TEXTS:
        if name in columns:
            fields[name] = texts(raw, columns[name][0]).to_pylist()
    for name in NUMBERS:
        if name in columns:
            fields[name] = pa.array(numbers(raw, columns[name][0]), from_pandas=True).to_pylist()
    for name in MOMENTS:
        if name in columns:
            at_ms_R = times(raw, columns[name][0], zone)
            fields[name] = [
                None if at == NOT_A_TIME else datetime.fromtimestamp(at / 1000, UTC) for at in at_ms_R.tolist()
            ]
    if "categories" in columns:
        fields["categories"] = _paths(raw, columns["categories"])
    for name, sources in columns.items():
        if name.startswith("attributes."):
            fields[name] = attribute_values(raw, sources[0])
    return fields


def _rows(fields: Mapping[str, list[Any]], num_rows: int) -> Iterator[dict[str, Any]]:
    """Yield one mapping a row; what is empty is left out, so that the contract's defaults hold."""
    names = list(fields)
    for cells in zip(*fields.values(), strict=True) if num_rows else ():
        row: dict[str, Any] = {"item_id": None}
        attributes: dict[str, Any] = {}
        for name, cell in zip(names, cells, strict=True):
            if cell is not None:
                target = attributes if name.startswith("attributes.") else row
                target[name.removeprefix("attributes.")] = cell
        yield row | {"attributes": attributes} if attributes else row


def _item(row: dict[str, Any], is_integer: bool) -> CatalogueItem:
    item = Item.model_validate(row)
    return CatalogueItem(
        item_id=item.item_id,
        is_integer=is_integer,
        title=item.title,
        description=item.description,
        categories=tuple(item.categories or ()),
        brand=item.brand,
        price=item.price,
        currency=item.currency,
        stock=item.stock,
        rating=item.rating,
        attributes=item.attributes or {},
        image_url=item.image_url,
        available_from=item.available_from,
        available_until=item.available_until,
        created_at=item.created_at,
    )


def _paths(raw: RawTable, sources: tuple[str, ...]) -> list[Any]:
    cells = raw.columns[sources[0]]
    if len(sources) == 1 and pa.types.is_list(cells.type):
        return [[str(name) for name in path if name] if path else None for path in cells.to_pylist()]
    if len(sources) == 1:
        written = texts(raw, sources[0]).to_pylist()
        return [[name for name in PATH_MARK.split(path) if name] if path else None for path in written]
    levels = [texts(raw, source).to_pylist() for source in sources]
    return [[name for name in path if name] for path in zip(*levels, strict=True)]


def attribute_values(raw: RawTable, column: str) -> list[Any]:
    """Return an attribute's cells: lists and numbers as they are, text that is always a number as numbers."""
    cells = raw.columns[column]
    if pa.types.is_string(cells.type) and not raw.is_typed:
        numeric = pc.all(pc.match_substring_regex(cells, NUMBER)).as_py()
        if numeric and cells.null_count < len(cells):
            number_R = numbers(raw, column)
            whole = bool(np.all(np.isnan(number_R) | (number_R == np.floor(number_R))))
            return [None if np.isnan(one) else int(one) if whole else one for one in number_R.tolist()]
    if pa.types.is_temporal(cells.type) or pa.types.is_decimal(cells.type):
        cells = cells.cast(pa.string())
    values: list[Any] = cells.to_pylist()
    return values
