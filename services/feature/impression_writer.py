"""Store a batch of the impression stream in Postgres.

Called by   stream_worker.py, in the thread of the impression stream
Errors      pydantic.ValidationError for a payload that is not ours; STORAGE_DOWN_ERRORS
"""

from collections.abc import Callable, Container, Sequence

from services.feature.stream_worker import Stored
from services.feature.worker_metrics import StreamFigures
from shared.contracts.impressions import Impression
from shared.storage.redis.impression_stream import decode_impression
from shared.storage.redis.stream_reader import Entry
from shared.storage.relational.engine import Engine
from shared.storage.relational.impressions import insert_impressions

CountLists = Callable[[Sequence[Impression]], None]
"""Hears of lists that are new in Postgres; never raises (outcomes.py)."""


class ImpressionWriter:
    """Writes impressions. Belongs to one thread."""

    def __init__(self, engine: Engine, figures: StreamFigures, count_lists: CountLists) -> None:
        self._engine = engine
        self._figures = figures
        self._count_lists = count_lists

    def held(self) -> Container[str]:
        """Return nothing: an impression is complete once it is in Postgres."""
        return ()

    def store(self, entries: Sequence[Entry]) -> Stored:
        """Insert those that are new."""
        impressions = [decode_impression(entry.payload) for entry in entries]
        if impressions:
            with self._engine.begin() as connection:
                new = insert_impressions(connection, impressions)
            self._figures.inserted.inc(len(new))
            self._figures.duplicates.inc(len(impressions) - len(new))
            self._count_lists(new)
        return Stored(list(entries))
