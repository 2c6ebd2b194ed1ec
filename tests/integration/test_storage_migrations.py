"""The migrations create exactly the tables that shared/storage/relational/tables.py describes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from deploy.migrations import migrate
from shared.storage.relational.databases import drop_database, ensure_database, url_of
from shared.storage.relational.engine import make_engine
from shared.storage.relational.interactions import insert_once
from shared.storage.relational.partitions import ensure_months
from shared.storage.relational.tables import metadata
from tests.integration.test_storage_interactions import NOON, stored_event


def _is_no_partition(thing: object, name: str | None, kind: str, *_: object) -> bool:
    return kind != "table" or name in metadata.tables


def test_migrated_database_has_the_tables_the_code_describes(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": _is_no_partition, "compare_type": True, "compare_server_default": False}
        )
        differences = compare_metadata(context, metadata)

    assert [difference for difference in differences if not _is_comment(difference)] == []


def _is_comment(difference: Any) -> bool:
    """Leave comments out: they explain tables.py to its reader and are not kept in the database."""
    parts = difference if isinstance(difference, list) else [difference]
    return all("comment" in str(part[0]) for part in parts)


def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    migrate(database_url)


INDEXES = text("""
SELECT indrelid::regclass::text FROM pg_index JOIN pg_inherits ON inhrelid = indexrelid
WHERE inhparent = 'interactions_by_recommendation'::regclass AND indisvalid ORDER BY 1
""")
IS_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'interactions_by_recommendation'::regclass")


@pytest.fixture
def before_the_index(postgres_url: str) -> Iterator[Engine]:
    """Return a database as the former release left it, with two months of events."""
    server_url = url_of(postgres_url, "postgres")
    url = ensure_database(server_url, "before_the_index")
    migrate(url, "0003")
    engine = make_engine(url, pool_size=4)
    with engine.begin() as connection:
        ensure_months(connection, "interactions", [date(2026, 2, 1)])
        insert_once(connection, [stored_event("e1", occurred_at=NOON, recommendation_id="r1")])
    yield engine
    engine.dispose()
    drop_database(server_url, "before_the_index")


def months_with_index(engine: Engine) -> tuple[list[str], bool]:
    with engine.connect() as connection:
        return list(connection.execute(INDEXES).scalars()), connection.execute(IS_VALID).scalar_one()


def url_for(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def test_months_that_are_there_and_months_that_come_get_the_index_of_attribution(before_the_index: Engine) -> None:
    with before_the_index.begin() as connection:  # what an attempt left that was ended half way
        connection.execute(
            text("CREATE INDEX interactions_2026_02_by_recommendation ON interactions_2026_02 (item_id)")
        )
    migrate(url_for(before_the_index))
    months = ["interactions_2026_02", f"interactions_{NOON:%Y_%m}"]
    assert months_with_index(before_the_index) == (sorted(months), True)
    with before_the_index.begin() as connection:
        ensure_months(connection, "interactions", [date(2027, 1, 1)])
    assert months_with_index(before_the_index)[0][-1] == "interactions_2027_01"


def test_processes_that_migrate_at_once_do_not_wait_for_each_other_for_ever(before_the_index: Engine) -> None:
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(migrate, url_for(before_the_index)) for _ in range(3)]:
            done.result(timeout=60)
    assert len(months_with_index(before_the_index)[0]) == 2


def test_a_migration_that_finds_the_table_locked_gives_up_in_time_and_goes_on_later(before_the_index: Engine) -> None:
    with before_the_index.connect() as connection:
        connection.execute(text("LOCK TABLE interactions IN ROW EXCLUSIVE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate(url_for(before_the_index))
        connection.rollback()
    migrate(url_for(before_the_index))
    assert months_with_index(before_the_index)[1]
