"""Import a shop's files, or a named set, into Postgres: the list of the steps.

Called by   services/command/import_command.py
Order       items before interactions, or the events of new items are unknown
Out         an ImportSummary a file; `changes` collects what running services must be told (tell_services.py)
Errors      ImportFailedError before anything of a file is stored; sqlalchemy.exc.DBAPIError, then nothing of it is
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TypeVar

from services.training.importing.complete_journey import read_complete_journey
from services.training.importing.import_events import EventImport, import_events
from services.training.importing.import_records import import_items, import_users
from services.training.importing.interactions import read_interactions
from services.training.importing.items import read_items
from services.training.importing.mapping import ColumnMapping
from services.training.importing.records import Records
from services.training.importing.rejected_rows import rejected_path, write_rejected
from services.training.importing.summary import ImportSummary
from services.training.importing.users import read_users
from services.training.progress import Report, StepProgress, quiet
from shared.contracts.identifiers import user_key
from shared.storage.relational.catalogue import known_item_ids
from shared.storage.relational.engine import Engine

Content = TypeVar("Content")


@dataclass
class Changes:
    """What an import changed."""

    user_keys: set[str] = field(default_factory=set)
    """shoppers whose events or profile changed"""
    items: int = 0


@dataclass(frozen=True)
class ImportPlace:
    """Where an import writes, and what it must know of the shop."""

    engine: Engine
    zone: tzinfo
    """of times without a zone"""
    now: datetime
    rejected_folder: Path | None = None
    """None: beside each file"""
    report: Report = quiet


class Importer:
    """One run of `aisle import`."""

    def __init__(self, place: ImportPlace) -> None:
        self._place = place
        self.changes = Changes()

    def items_file(self, path: Path, mapping: ColumnMapping) -> ImportSummary:
        """Import a file of products."""
        raw, items = self._read(path.name, lambda: read_items(path, mapping, self._place.zone))
        summary, changed = import_items(self._place.engine, path.name, items, self._place.report)
        self.changes.items += len(changed)
        written = write_rejected(raw, items.rejected, rejected_path(path, self._place.rejected_folder))
        return replace(summary, rejected_file=written)

    def users_file(self, path: Path, mapping: ColumnMapping) -> ImportSummary:
        """Import a file of shoppers."""
        raw, users = self._read(path.name, lambda: read_users(path, mapping))
        summary, changed = import_users(self._place.engine, path.name, users, self._place.report)
        self.changes.user_keys.update(user_key(user_id, None) for user_id in changed)
        written = write_rejected(raw, users.rejected, rejected_path(path, self._place.rejected_folder))
        return replace(summary, rejected_file=written)

    def interactions_file(self, path: Path, mapping: ColumnMapping) -> ImportSummary:
        """Import a file of events; items must be there before it, or it decides nothing about them."""
        read = self._read(path.name, lambda: read_interactions(path, mapping, self._place.zone))
        with self._place.engine.connect() as connection:
            known = known_item_ids(connection)
        wanted = EventImport(
            title=path.name,
            known_items=known or None,
            now_ms=self._now_ms,
            rejected_file=rejected_path(path, self._place.rejected_folder),
        )
        summary, user_keys = import_events(self._place.engine, read, wanted, self._place.report)
        self.changes.user_keys.update(user_keys)
        return summary

    def complete_journey(self, folder: Path) -> tuple[list[ImportSummary], list[str], int]:
        """Import the Complete Journey; return summaries, households by falling activity, and weeks moved."""
        journey = self._read(
            "The Complete Journey", lambda: read_complete_journey(folder, self._place.zone, self._place.now)
        )
        engine, report = self._place.engine, self._place.report
        items, changed_items = import_items(engine, "products", Records(journey.items, []), report)
        users, changed_users = import_users(engine, "households", Records(journey.users, []), report)
        wanted = EventImport(
            title="purchases",
            known_items={item.item_id for item in journey.items},
            now_ms=self._now_ms,
            rejected_file=rejected_path(journey.events.raw.path, self._place.rejected_folder),
        )
        purchases, user_keys = import_events(engine, journey.events, wanted, report)
        self.changes.items += len(changed_items)
        self.changes.user_keys.update(user_keys, (user_key(user_id, None) for user_id in changed_users))
        return [items, users, purchases], journey.households, journey.weeks_moved

    @property
    def _now_ms(self) -> int:
        return int(self._place.now.timestamp() * 1000)

    def _read(self, title: str, read: Callable[[], Content]) -> Content:
        progress = StepProgress(f"Read {title}", 1, "files", self._place.report)
        content = read()
        progress.finish()
        return content
