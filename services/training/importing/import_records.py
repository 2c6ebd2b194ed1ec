"""Store items and accounts that a file or a named set holds.

Called by   importer.py
Out         ImportSummary, and the records that are new or changed; what already stands is left alone
Errors      sqlalchemy.exc.DBAPIError; then nothing of the file is stored
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from services.training.importing.records import RECORD_RULES, Records, rule_of
from services.training.importing.summary import ImportSummary, count_rules
from services.training.progress import Report, StepProgress
from shared.contracts.users import User
from shared.features.catalogue import CatalogueItem
from shared.storage.relational.catalogue import upsert_items
from shared.storage.relational.engine import Connection, Engine
from shared.storage.relational.users import upsert_users

Record = TypeVar("Record")
RECORDS_A_STEP = 5_000


def import_items(
    engine: Engine, title: str, items: Records[CatalogueItem], report: Report
) -> tuple[ImportSummary, list[str]]:
    """Store items; return the summary and the ids of those that are new or changed."""

    def store(connection: Connection, part: Sequence[CatalogueItem]) -> list[str]:
        return [changed.item.item_id for changed in upsert_items(connection, part)]

    changed = _store(engine, items.good, store, StepProgress(f"Store {title}", len(items.good), "items", report))
    return _summary(title, items, len(changed)), changed


def import_users(engine: Engine, title: str, users: Records[User], report: Report) -> tuple[ImportSummary, list[str]]:
    """Store accounts; return the summary and the ids of those that are new or changed."""
    progress = StepProgress(f"Store {title}", len(users.good), "users", report)
    changed = _store(engine, users.good, upsert_users, progress)
    return _summary(title, users, len(changed)), changed


def _store(
    engine: Engine,
    records: Sequence[Record],
    store: Callable[[Connection, Sequence[Record]], list[str]],
    progress: StepProgress,
) -> list[str]:
    changed: list[str] = []
    with engine.begin() as connection:
        for start in range(0, len(records), RECORDS_A_STEP):
            part = records[start : start + RECORDS_A_STEP]
            changed += store(connection, part)
            progress.advance(len(part))
    return changed


def _summary(title: str, records: Records[Record], changed: int) -> ImportSummary:
    return ImportSummary(
        title=title,
        rows_read=len(records.good) + len(records.rejected),
        rows_new=changed,
        rows_known=len(records.good) - changed,
        rules=count_rules(RECORD_RULES, (rule_of(reason) for _, reason in records.rejected)),
    )
