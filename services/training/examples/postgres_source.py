"""Read a shop from Postgres: events by COPY into a Parquet file, items and profiles row by row.

Called by   services/training/main.py, the `aisle train` command
Out         ShopFiles, as of one moment a query: events that arrive meanwhile may or may not be in it
Errors      sqlalchemy.exc.DBAPIError while Postgres is away, OSError
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from services.training.examples.source import EVENTS_FILE, ShopFiles, with_event_columns
from shared.storage.relational.catalogue import load_all
from shared.storage.relational.engine import Engine
from shared.storage.relational.export import export_columns
from shared.storage.relational.users import load_profiles


@dataclass(frozen=True)
class PostgresSource:
    """The shop's own database."""

    engine: Engine

    def read(self) -> ShopFiles:
        """Export the events to a temporary file and read everything."""
        with tempfile.TemporaryDirectory(prefix="aisle-export-") as folder:
            path = Path(folder) / EVENTS_FILE
            export_columns(self.engine, path)
            events = with_event_columns(pq.read_table(path))
        with self.engine.connect() as connection:
            items = [sequenced.item for sequenced in load_all(connection)]
            profiles = dict(load_profiles(connection))
        return ShopFiles(events, items, profiles)
