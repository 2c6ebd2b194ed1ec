"""Many events at once, each once: COPY into a temporary table, then receipts and interactions in two statements.

Called by   services/training/importing (`aisle import`); feature never imports this file, since it needs pyarrow
In          an Arrow table with the columns of IMPORT_SCHEMA, any of the nullable ones left out; `context` is JSON text
Out         what became of the rows; everything happens in the caller's transaction, so a file is in or it is not
Errors      KeyError (a column misses), pyarrow.ArrowInvalid (it cannot be read as its type), ImportRefusedError
            (Postgres refuses a value), sqlalchemy.exc.DBAPIError
Speed       70,000 rows/s with receipts on 2 cores: chunk by chunk, while Python hashes the next one. Rows are sorted
            before each insert, since an index that is filled in its own order is half the work
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sqlalchemy import Connection, text

from shared.contracts.content_hash import hash_of_lines
from shared.storage.relational.locks import AdvisoryLock, take
from shared.storage.relational.partitions import ensure_months, utc_day

IMPORT_SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("type", pa.int16(), nullable=False),
        pa.field("user_key", pa.string(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("at_ms", pa.int64(), nullable=False),
        pa.field("quantity", pa.float64(), nullable=False),
        pa.field("price", pa.float64()),
        pa.field("value", pa.float64()),
        pa.field("session_id", pa.string()),
        pa.field("order_id", pa.string()),
        pa.field("recommendation_id", pa.string()),
        pa.field("position", pa.int16()),
        pa.field("currency", pa.string()),
        pa.field("context", pa.string()),
    ]
)
COPIED_COLUMNS = (*IMPORT_SCHEMA.names, "content_hash")
HASHED_COLUMNS = (
    "type", "user_key", "item_id", "at_ms", "quantity", "price", "value", "session_id", "order_id",
    "recommendation_id", "position", "currency", "context",
)  # fmt: skip
"""in the order of shared.contracts.content_hash.Line"""
CHUNK_ROWS = 100_000

# A NUL in JSON text, which jsonb refuses: \u0000 after an even number of backslashes.
ESCAPED_NUL = r"((?:^|[^\\])(?:\\\\)*)(?:\\u0000)+"

PREPARE = """
SET LOCAL synchronous_commit = off;
SET LOCAL work_mem = '128MB';
CREATE TEMPORARY TABLE imported (
    event_id text COLLATE "C", type smallint, user_key text COLLATE "C", item_id text, at_ms bigint, quantity real,
    price real, value real, session_id text, order_id text, recommendation_id text, position smallint, currency text,
    context jsonb, content_hash bytea, line bigint GENERATED ALWAYS AS IDENTITY) ON COMMIT DROP;
CREATE TEMPORARY TABLE repeated (event_id text COLLATE "C", content_hash bytea) ON COMMIT DROP;
CREATE TEMPORARY TABLE fresh (event_id text COLLATE "C") ON COMMIT DROP;
"""
DROP = "DROP TABLE IF EXISTS pg_temp.imported, pg_temp.repeated, pg_temp.fresh"

# As for single events (event_rows.py): what was merged goes to the account, what was erased goes nowhere.
MERGE = """
UPDATE imported SET user_key = user_merges.user_key FROM user_merges
WHERE user_merges.visitor_key = imported.user_key
    AND timestamptz 'epoch' + at_ms * interval '1 millisecond' <= merged_at
"""
ERASE = """
DELETE FROM imported USING erasures
WHERE erasures.user_key = imported.user_key AND timestamptz 'epoch' + at_ms * interval '1 millisecond' <= erased_at
"""
SET_REPEATED_ASIDE = """
WITH gone AS (
    DELETE FROM imported USING (
        SELECT event_id, min(line) AS first FROM imported GROUP BY event_id HAVING count(*) > 1) AS several
    WHERE imported.event_id = several.event_id AND line > first
    RETURNING imported.event_id, imported.content_hash)
INSERT INTO repeated SELECT event_id, content_hash FROM gone
"""
INSERT_RECEIPTS = """
WITH receipt AS (
    INSERT INTO event_receipts (event_id, content_hash) SELECT event_id, content_hash FROM imported ORDER BY event_id
    ON CONFLICT DO NOTHING RETURNING event_id)
INSERT INTO fresh SELECT event_id FROM receipt
"""
INSERT_INTERACTIONS = """
INSERT INTO interactions (event_id, type, user_key, item_id, occurred_at, received_at, quantity, price, value,
    session_id, order_id, recommendation_id, position, currency, context)
SELECT event_id, type, user_key, item_id, timestamptz 'epoch' + at_ms * interval '1 millisecond', now(), quantity,
    price, value, session_id, order_id, recommendation_id, position, currency, context
FROM imported JOIN fresh USING (event_id) ORDER BY user_key, at_ms
"""
COUNT_CONFLICTS = """
SELECT count(*) FROM (SELECT event_id, content_hash FROM imported UNION ALL SELECT * FROM repeated) AS known
JOIN event_receipts USING (event_id) WHERE known.content_hash <> event_receipts.content_hash
"""
CLEAR_CHUNK = "TRUNCATE imported, repeated, fresh"
DAY_MS = 86_400_000


class ImportRefusedError(ValueError):
    """A value that Postgres does not take, such as a context that is not JSON."""


@dataclass(frozen=True)
class ImportOutcome:
    """Where the rows of one import went; the four add up to `rows`."""

    rows: int
    inserted: int
    duplicates: int
    """stored before, or earlier in this import, with the same content"""
    conflicts: int
    """another event is stored under this id"""
    erased: int
    """of shoppers who were erased since"""

    def __add__(self, other: "ImportOutcome") -> "ImportOutcome":
        return ImportOutcome(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def bulk_import(
    connection: Connection, table: Any, on_rows: Callable[[int], None] = lambda rows: None
) -> ImportOutcome:
    """Store the events that are new, in the caller's transaction; `on_rows` hears of each chunk of rows that is in."""
    rows = _with_schema(table)
    take(connection, AdvisoryLock.SHOPPERS, shared=True)
    days = pc.unique(pc.divide(rows["at_ms"], DAY_MS)).to_pylist()
    ensure_months(connection, "interactions", {utc_day(day * DAY_MS) for day in days})
    connection.exec_driver_sql(DROP)
    connection.exec_driver_sql(PREPARE)
    outcome = ImportOutcome(0, 0, 0, 0, 0)
    for chunk in _made_ahead(rows):
        stored = _store_chunk(connection, chunk)
        outcome += stored
        on_rows(stored.rows)
    connection.exec_driver_sql(DROP)
    return outcome


def _made_ahead(rows: Any) -> Iterator[bytes]:
    """Yield the rows as text for COPY, the next chunk in the making while the server works on this one."""
    with ThreadPoolExecutor(1) as maker:
        waiting = [maker.submit(_as_csv, batch) for batch in rows.combine_chunks().to_batches(CHUNK_ROWS)]
        while waiting:
            yield waiting.pop(0).result()


def _store_chunk(connection: Connection, chunk: bytes) -> ImportOutcome:
    connection.exec_driver_sql(CLEAR_CHUNK)
    cursor = connection.connection.cursor()
    try:
        cursor.copy_expert(f"COPY imported ({', '.join(COPIED_COLUMNS)}) FROM STDIN (FORMAT csv)", io.BytesIO(chunk))
    except psycopg2.DataError as error:
        raise ImportRefusedError(str(error)) from error
    connection.exec_driver_sql(MERGE)
    erased = connection.exec_driver_sql(ERASE).rowcount
    connection.exec_driver_sql(SET_REPEATED_ASIDE)
    inserted = connection.exec_driver_sql(INSERT_RECEIPTS).rowcount
    connection.exec_driver_sql(INSERT_INTERACTIONS)
    known = cursor.rowcount - inserted - erased
    conflicts = connection.execute(text(COUNT_CONFLICTS)).scalar_one() if known else 0
    return ImportOutcome(cursor.rowcount, inserted, known - conflicts, conflicts, erased)


def _with_schema(table: Any) -> Any:
    """Return the columns of IMPORT_SCHEMA, in its types."""
    columns = []
    for field in IMPORT_SCHEMA:
        if field.name in table.column_names:
            columns.append(table[field.name].cast(field.type))
        elif field.nullable:
            columns.append(pa.nulls(len(table), field.type))
        else:
            raise KeyError(f"the column {field.name} is required")
    return pa.table(columns, schema=IMPORT_SCHEMA)


def _as_csv(batch: Any) -> bytes:
    """Return rows with their hashes as the text COPY reads; an unquoted empty field is null."""
    lines = zip(*(batch[name].to_pylist() for name in HASHED_COLUMNS), strict=True)
    hashes = ["\\x" + hash_of_lines(((*line[:-1], line[-1] or ""),)) for line in lines]
    context = pc.replace_substring_regex(batch["context"], ESCAPED_NUL, r"\1")
    batch = batch.set_column(batch.schema.get_field_index("context"), "context", context)
    batch = batch.append_column("content_hash", pa.array(hashes))
    written = io.BytesIO()
    csv.write_csv(batch, written, csv.WriteOptions(include_header=False))
    return written.getvalue()
