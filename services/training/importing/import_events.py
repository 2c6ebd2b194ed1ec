"""Clean events and store them: the one way for every source of interactions.

Called by   services/command/import_command.py
Steps       clean → make the missing event ids → COPY into Postgres, all in one transaction → write the rejected rows
Out         ImportSummary, and the shoppers whose past changed (their online state must be forgotten)
Errors      sqlalchemy.exc.DBAPIError; then nothing of the file is stored
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from services.training.examples.cleaning import clean
from services.training.importing.event_identity import with_event_ids
from services.training.importing.interactions import READING_RULES, ReadEvents
from services.training.importing.rejected_rows import write_rejected
from services.training.importing.summary import ImportSummary, count_rules
from services.training.progress import Report, StepProgress
from shared.storage.relational.bulk_import import ImportOutcome, bulk_import
from shared.storage.relational.engine import Engine


@dataclass(frozen=True)
class EventImport:
    """What is needed beside the events."""

    title: str
    known_items: Collection[str] | None
    """None when the catalogue is empty: then no item can be unknown"""
    now_ms: int
    rejected_file: Path


def import_events(
    engine: Engine, read: ReadEvents, wanted: EventImport, report: Report
) -> tuple[ImportSummary, list[str]]:
    """Clean and store events; return the summary and the shoppers they belong to."""
    cleaning = StepProgress(f"Clean {wanted.title}", len(read.table), "rows", report)
    cleaned = clean(read.table, wanted.known_items, wanted.now_ms)
    cleaning.finish()
    kept = with_event_ids(cleaned.kept)
    outcome = _store(engine, kept, StepProgress(f"Store {wanted.title}", len(kept), "rows", report))
    reasons = cleaned.rejected["reason"].to_pylist()
    rejected = [*zip(read.row_E[cleaned.rejected_row].tolist(), reasons, strict=True), *read.refused]
    summary = ImportSummary(
        title=wanted.title,
        rows_read=read.raw.num_rows,
        rows_new=outcome.inserted,
        rows_known=outcome.duplicates + outcome.conflicts,
        rows_erased=outcome.erased,
        rules=(*count_rules(READING_RULES, (rule for _, rule in read.refused)), *cleaned.report.rules),
        rejected_file=write_rejected(read.raw, rejected, wanted.rejected_file),
    )
    return summary, pc.unique(kept["user_key"]).to_pylist() if outcome.inserted else []


def _store(engine: Engine, events: Any, progress: StepProgress) -> ImportOutcome:
    with engine.begin() as connection:
        return bulk_import(connection, events, progress.advance)
