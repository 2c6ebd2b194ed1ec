"""The migrations create exactly the tables that shared/storage/relational/tables.py describes."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from deploy.migrations import migrate
from shared.storage.relational.tables import metadata


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
