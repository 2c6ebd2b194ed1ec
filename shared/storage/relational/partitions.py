"""The months of a table that is partitioned by time, made when they are first needed.

Called by   interactions.py, bulk_import.py, impressions.py, each before it writes
In          any day of each month wanted, in UTC
Safe        several processes may ask for the same month at once; readers and writers of other months are not held up,
            since a ready-made table is attached (CREATE TABLE ... PARTITION OF would lock the whole table)
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Literal

from sqlalchemy import Connection, text

from shared.storage.relational.locks import AdvisoryLock, take

MonthlyTable = Literal["interactions", "impressions"]


def ensure_months(connection: Connection, table: MonthlyTable, days: Iterable[date]) -> list[date]:
    """Create the partitions that are missing; return the first day of each month that was new."""
    months = sorted({day.replace(day=1) for day in days})
    if not _missing(connection, table, months):
        return []
    take(connection, AdvisoryLock.PARTITIONS)
    missing = _missing(connection, table, months)
    for month in missing:
        _add_month(connection, table, month)
    return missing


def utc_day(at_ms: int) -> date:
    """Return the day in UTC on which a millisecond lies."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).date()


def _missing(connection: Connection, table: MonthlyTable, months: list[date]) -> list[date]:
    names = [_partition(table, month) for month in months]
    found = connection.execute(
        text(
            "SELECT name FROM unnest(CAST(:names AS text[])) AS name"
            " WHERE EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(name))"
        ),
        {"names": names},
    ).scalars()
    known = set(found)
    return [month for month, name in zip(months, names, strict=True) if name not in known]


def _add_month(connection: Connection, table: MonthlyTable, month: date) -> None:
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    name = _partition(table, month)
    connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)"))
    connection.execute(
        text(
            f"ALTER TABLE {table} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ('{month} 00:00:00+00') TO ('{following} 00:00:00+00')"
        )
    )


def _partition(table: MonthlyTable, month: date) -> str:
    return f"{table}_{month:%Y_%m}"
