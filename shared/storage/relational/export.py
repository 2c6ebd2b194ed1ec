"""All events as one Parquet file, in the order training wants: by shopper, time and event id.

Called by   services/training (reads Postgres once at the start of a run)
Out         the columns of EXPORT_SCHEMA; `context` is JSON text; an item id is null for a search
Errors      sqlalchemy.exc.DBAPIError, OSError; the file appears whole or not at all
Speed       COPY to a temporary file beside the target, then Arrow's CSV reader; memory holds one block at a time
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq
from sqlalchemy import Engine

EXPORT_SCHEMA = pa.schema(
    [
        ("user_key", pa.string()),
        ("event_id", pa.string()),
        ("item_id", pa.string()),
        ("type", pa.int16()),
        ("at_ms", pa.int64()),
        ("price", pa.float32()),
        ("quantity", pa.float32()),
        ("value", pa.float32()),
        ("session_id", pa.string()),
        ("order_id", pa.string()),
        ("recommendation_id", pa.string()),
        ("context", pa.string()),
    ]
)

EXPORT = """
COPY (SELECT user_key, event_id, item_id, type, CAST(extract(epoch FROM occurred_at) * 1000 AS bigint), price, quantity,
    value, session_id, order_id, recommendation_id, context
    FROM interactions ORDER BY user_key, occurred_at, event_id)
TO STDOUT (FORMAT csv)
"""


def export_columns(engine: Engine, path: Path) -> int:
    """Write every event to a Parquet file; return how many there were."""
    text_path, unfinished = path.with_name(path.name + ".csv"), path.with_name(path.name + ".unfinished")
    try:
        with engine.connect() as connection, text_path.open("wb") as file:
            connection.exec_driver_sql("SET LOCAL work_mem = '128MB'")
            connection.connection.cursor().copy_expert(EXPORT, file)
        rows = _csv_to_parquet(text_path, unfinished)
        unfinished.replace(path)
        return rows
    finally:
        for leftover in (text_path, unfinished):
            leftover.unlink(missing_ok=True)


def _csv_to_parquet(text_path: Path, parquet_path: Path) -> int:
    rows = 0
    with pq.ParquetWriter(parquet_path, EXPORT_SCHEMA) as writer:
        for batch in _batches(text_path):
            writer.write_batch(batch)
            rows += len(batch)
    return rows


def _batches(text_path: Path) -> Any:
    if not text_path.stat().st_size:
        return []
    return csv.open_csv(
        text_path,
        read_options=csv.ReadOptions(column_names=EXPORT_SCHEMA.names),
        # An unquoted empty field is null, "" is the empty text.
        convert_options=csv.ConvertOptions(
            column_types=EXPORT_SCHEMA, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
