"""What a database holds, in a few numbers: rows and a checksum for each table, of the large ones for each day.

Called by   backup.py (of the snapshot that is dumped), verify.py (of what was restored)
Checksum    the sum of a hash of every row's text, so that the order of rows does not matter and every column does
Errors      sqlalchemy.exc.DBAPIError
"""

from sqlalchemy import Connection, text

from shared.storage.relational.tables import metadata

DAILY = {"interactions": "occurred_at", "impressions": "made_at"}
VERSION_TABLE = "alembic_version"

Fingerprint = dict[str, list[str]]
"""table, or table and day → rows, checksum"""


def fingerprint(connection: Connection) -> Fingerprint:
    """Return what the database holds; tables it lacks are left out, so that an older schema has one, too."""
    known = set(connection.execute(text("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")).scalars())
    found: Fingerprint = {}
    for table in sorted({*metadata.tables, VERSION_TABLE} & known):
        found |= _of_table(connection, table)
    return found


def revision(connection: Connection) -> str:
    """Return the schema's version."""
    return str(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one())  # noqa: S608 - ours


def _of_table(connection: Connection, table: str) -> Fingerprint:
    day = f"to_char({DAILY[table]}, ' YYYY-MM-DD')" if table in DAILY else "''"
    checksum = "sum(CAST(hashtextextended(CAST(one AS text), 0) AS numeric))"
    query = f"SELECT {day} AS day, count(*) AS rows, {checksum} AS checksum FROM {table} AS one GROUP BY 1 ORDER BY 1"  # noqa: S608 - table names of tables.py
    rows = connection.execute(text(query))
    return {f"{table}{row.day}": [str(row.rows), str(row.checksum)] for row in rows}
