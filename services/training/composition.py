"""Where a training run of this install reads, works and publishes.

Called by   services/training/__main__.py, the `aisle train` command
"""

from pathlib import Path
from zoneinfo import ZoneInfo

from services.training.examples.postgres_source import PostgresSource
from services.training.examples.source import ParquetSource
from services.training.publish import Announce, ModelStore
from services.training.run import RunPlace
from shared.service.settings import Settings
from shared.storage.redis.change_stream import ChangeKind, ChangePublisher
from shared.storage.redis.clients import sync_client
from shared.storage.relational.engine import Engine


def run_place(settings: Settings, engine: Engine, parquet: Path | None = None) -> RunPlace:
    """Return the place; events come from Postgres, or from a Parquet folder when one is named."""
    source = PostgresSource(engine) if parquet is None else ParquetSource(parquet)
    store = ModelStore(engine, settings.bundle_url, announcer(settings))
    return RunPlace(source, ZoneInfo(settings.timezone), store, settings.home / "training")


def announcer(settings: Settings) -> Announce:
    """Return the function that tells the services of a new model."""

    def announce(version: str) -> None:
        with sync_client(settings.redis_stream_url) as client:
            ChangePublisher(client, settings.namespace).publish(ChangeKind.MODEL, {"version": version})

    return announce
