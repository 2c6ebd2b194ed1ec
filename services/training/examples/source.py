"""Where training reads a shop from: a Parquet folder or Postgres, behind one interface.

Called by   services/training/pipeline.py; main.py and the `aisle train` command choose the source
Out         ShopFiles: the event table (one row an event, EVENT_COLUMNS), the catalogue's items, the shoppers' profiles
Why         training knows no table by name, so that a cluster's Parquet files, or later a federated client, fit as well
Errors      SourceError naming the missing file or column
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.training.errors import SourceError
from shared.contracts.internal import Profile
from shared.features.catalogue import CatalogueItem
from shared.storage.item_json import item_from_json

EVENT_COLUMNS = ("user_key", "event_id", "item_id", "type", "at_ms", "price", "quantity", "value", "context")
EVENTS_FILE, ITEMS_FILE, USERS_FILE = "interactions.parquet", "items.parquet", "users.parquet"


@dataclass(frozen=True)
class ShopFiles:
    """A shop as it is stored, not yet cleaned."""

    events: Any
    """pyarrow.Table with EVENT_COLUMNS; `context` is JSON text or null"""
    items: Sequence[CatalogueItem]
    profiles: dict[str, Profile]
    """by user_key"""


class ExampleSource(Protocol):
    """Anything training can read a shop from."""

    def read(self) -> ShopFiles:
        """Return everything, as of now."""
        ...


@dataclass(frozen=True)
class ParquetSource:
    """A folder with interactions.parquet, items.parquet and, if there are profiles, users.parquet."""

    folder: Path

    def read(self) -> ShopFiles:
        """Read the three files."""
        for name in (EVENTS_FILE, ITEMS_FILE):
            if not (self.folder / name).is_file():
                raise SourceError(f"{self.folder} has no {name}")
        users = self.folder / USERS_FILE
        return ShopFiles(
            with_event_columns(pq.read_table(self.folder / EVENTS_FILE)),
            [item_from_row(row) for row in pq.read_table(self.folder / ITEMS_FILE).to_pylist()],
            profiles_of(pq.read_table(users).to_pylist()) if users.exists() else {},
        )


def with_event_columns(events: Any) -> Any:
    """Return the table with EVENT_COLUMNS; `at_ms` may come as a timestamp `occurred_at`, three columns may miss."""
    if "at_ms" not in events.column_names and "occurred_at" in events.column_names:
        at_ms = pc.cast(pc.cast(events["occurred_at"], pa.timestamp("ms", "UTC")), pa.int64())
        events = events.append_column("at_ms", at_ms)
    for name, kind in (("event_id", pa.string()), ("value", pa.float32()), ("context", pa.string())):
        if name not in events.column_names:
            events = events.append_column(name, pa.nulls(len(events), kind))
    missing = [name for name in EVENT_COLUMNS if name not in events.column_names]
    if missing:
        raise SourceError(f"{EVENTS_FILE} has no column {', '.join(missing)}")
    also_cleaned = [name for name in ("order_id",) if name in events.column_names]
    return events.select([*EVENT_COLUMNS, *also_cleaned])


def item_from_row(row: dict[str, Any]) -> CatalogueItem:
    """Return an item from a row whose attributes may be JSON text and whose moments may be datetimes."""
    values = dict(row)
    if isinstance(values.get("attributes"), str):
        values["attributes"] = json.loads(values["attributes"])
    values["attributes"] = values.get("attributes") or {}
    for name in ("available_from", "available_until", "created_at"):
        if hasattr(values.get(name), "isoformat"):
            values[name] = values[name].isoformat()
    return item_from_json(values)


def profiles_of(rows: Sequence[dict[str, Any]]) -> dict[str, Profile]:
    """Return the profiles by user_key; `attributes` may be JSON text."""
    profiles = {}
    for row in rows:
        attributes = row.get("attributes") or {}
        attributes = json.loads(attributes) if isinstance(attributes, str) else attributes
        known = {name: str(value) for name, value in dict(attributes).items() if value is not None}
        profiles[row["user_key"]] = Profile(**{**row, "attributes": known})
    return profiles
