"""Many events at once: fast, each once, and out again in the order of training."""

import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from shared.contracts.content_hash import content_hash
from shared.contracts.times import epoch_ms
from shared.storage.relational.bulk_import import CHUNK_ROWS, ImportOutcome, ImportRefusedError, bulk_import
from shared.storage.relational.erasure import erase_user, merge_visitor
from shared.storage.relational.export import EXPORT_SCHEMA, export_columns
from shared.storage.relational.interactions import insert_once, newest_events
from tests.integration.test_storage_interactions import NOON, count, stored_event

NOON_MS = epoch_ms(NOON)
PURCHASE = 6


def event_table(event_ids: list[str], *, prices: list[float] | None = None, user_key: str = "u:1") -> pa.Table:
    rows = len(event_ids)
    return pa.table(
        {
            "event_id": event_ids,
            "type": [PURCHASE] * rows,
            "user_key": [user_key] * rows,
            "item_id": ["shoe"] * rows,
            "at_ms": [NOON_MS] * rows,
            "quantity": [1.0] * rows,
            "price": prices or [9.99] * rows,
            "currency": ["EUR"] * rows,
        }
    )


def generated_table(rows: int) -> pa.Table:
    random = np.random.default_rng(7)
    return pa.table(
        {
            "event_id": [f"{basket}-{line}" for line, basket in enumerate(random.integers(10**9, 10**10, rows))],
            "type": np.full(rows, PURCHASE, np.int8),
            "user_key": [f"u:{user}" for user in random.integers(0, 2500, rows)],
            "item_id": [str(item) for item in random.integers(0, 90_000, rows)],
            "at_ms": NOON_MS + random.integers(0, 300 * 86_400_000, rows),
            "quantity": random.integers(1, 5, rows).astype(float),
            "price": random.gamma(2, 2, rows).round(2),
            "order_id": [str(order) for order in random.integers(10**9, 10**10, rows)],
            "context": [f'{{"store":"{store}"}}' for store in random.integers(0, 400, rows)],
        }
    )


def test_importing_twice_changes_nothing(engine: Engine) -> None:
    table = event_table(["a", "b", "c", "a"])
    with engine.begin() as connection:
        first = bulk_import(connection, table)
        second = bulk_import(connection, table)

    assert first == ImportOutcome(rows=4, inserted=3, duplicates=1, conflicts=0, erased=0)
    assert second == ImportOutcome(rows=4, inserted=0, duplicates=4, conflicts=0, erased=0)
    assert count(engine, "interactions") == count(engine, "event_receipts") == 3


def test_an_import_and_the_api_agree_on_what_is_the_same_event(engine: Engine) -> None:
    sent = stored_event("a")
    with engine.begin() as connection:
        insert_once(connection, [sent.model_copy(update={"content_hash": content_hash([sent], time_given=True)})])
        outcome = bulk_import(connection, event_table(["a", "a", "b", "b"], prices=[9.99, 1.0, 2.0, 3.0]))

    assert outcome == ImportOutcome(rows=4, inserted=1, duplicates=1, conflicts=2, erased=0)
    with engine.connect() as connection:
        assert [event.price for event in newest_events(connection, "u:1", 9)] == [pytest.approx(9.99), 2.0]


def test_an_import_that_fails_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(KeyError, match="user_key"), engine.begin() as connection:
        bulk_import(connection, event_table(["a"]).drop_columns(["user_key"]))
    with pytest.raises(pa.ArrowInvalid), engine.begin() as connection:
        bulk_import(connection, event_table(["a"]).set_column(1, "type", pa.array(["no number"])))
    contexts = pa.array([*["{}"] * CHUNK_ROWS, "not json"])
    table = generated_table(CHUNK_ROWS + 1).drop_columns(["context"]).append_column("context", contexts)
    with pytest.raises(ImportRefusedError), engine.begin() as connection:
        bulk_import(connection, table)

    assert count(engine, "interactions") == 0


def test_an_import_respects_erasures_and_merges(engine: Engine) -> None:
    with engine.begin() as connection:
        erase_user(connection, "1")
        merge_visitor(connection, "cookie", "2")
        outcome = bulk_import(
            connection, pa.concat_tables([event_table(["a"]), event_table(["b"], user_key="v:cookie")])
        )

        assert (outcome.inserted, outcome.erased) == (1, 1)
        assert [event.event_id for event in newest_events(connection, "u:2", 9)] == ["b"]


def test_a_context_with_an_escaped_nul_is_imported_without_it(engine: Engine) -> None:
    contexts = ['{"a":"x\\u0000\\u0000y"}', '{"a":"\\\\u0000"}', None]
    table = event_table(["a", "b", "c"]).append_column("context", pa.array(contexts))
    with engine.begin() as connection:
        bulk_import(connection, table)
        stored = connection.execute(text("SELECT context FROM interactions ORDER BY event_id")).scalars().all()

    assert stored == [{"a": "xy"}, {"a": "\\u0000"}, None]


def test_export_is_ordered_by_shopper_time_and_event_id_with_nulls_kept(engine: Engine, tmp_path: Path) -> None:
    events = [
        stored_event("b", user_key="u:2", context={"store": "7"}),
        stored_event("a", user_key="u:2", price=None),
        stored_event("z", user_key="u:10", occurred_at=NOON + timedelta(milliseconds=1)),
        stored_event("search", user_key="u:2", item_id=None, occurred_at=NOON - timedelta(days=40)),
    ]
    assert export_columns(engine, tmp_path / "events.parquet") == 0
    with engine.begin() as connection:
        insert_once(connection, events)

    assert export_columns(engine, tmp_path / "events.parquet") == 4
    exported = pq.read_table(tmp_path / "events.parquet")
    assert exported.schema.equals(EXPORT_SCHEMA)
    assert exported["event_id"].to_pylist() == ["z", "search", "a", "b"]
    assert exported["at_ms"].to_pylist()[0] == NOON_MS + 1
    assert exported["item_id"].to_pylist()[1] is None
    assert exported["price"].to_pylist()[2] is None
    assert exported["context"].to_pylist() == [None, None, None, '{"store": "7"}']
    assert [path.name for path in tmp_path.iterdir()] == ["events.parquet"]


def test_import_is_not_slow(engine: Engine) -> None:
    """A guard against a lost index order or a row-wise path; the measured rate is about 70,000 rows/s."""
    table = generated_table(100_000)
    started = time.monotonic()
    with engine.begin() as connection:
        outcome = bulk_import(connection, table)

    assert outcome.inserted == 100_000
    assert time.monotonic() - started < 20
