"""The catalogue in Postgres: written whole, changed in part, hidden, and read in the order of changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from shared.features.catalogue import CatalogueItem
from shared.storage.relational.catalogue import (
    changed_since,
    clock,
    delete_item,
    get_item,
    load_all,
    patch_item,
    upsert_items,
)

SHOE = CatalogueItem(
    item_id="17",
    is_integer=True,
    title="Shoe",
    description="Runs",
    categories=("clothes", "shoes"),
    brand="Hermes",
    price=9.99,
    currency="EUR",
    stock=3,
    rating=4.5,
    attributes={"colour": "red", "sizes": [40, 41]},
    image_url="https://example.org/17.jpg",
    available_from=datetime(2026, 1, 1, tzinfo=UTC),
    available_until=datetime(2027, 1, 1, tzinfo=UTC),
    created_at=datetime(2025, 12, 1, tzinfo=UTC),
)


def test_an_item_is_read_back_as_it_was_written(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert_items(connection, [SHOE])
        assert get_item(connection, "17") == SHOE
        assert get_item(connection, "18") is None


def test_writing_an_item_again_unchanged_is_no_change_and_keeps_its_number(engine: Engine) -> None:
    with engine.begin() as connection:
        first = upsert_items(connection, [SHOE, replace(SHOE, item_id="18", created_at=None)])
        again = upsert_items(connection, [SHOE, replace(SHOE, item_id="18", created_at=None)])
        dearer = upsert_items(connection, [SHOE, replace(SHOE, price=11.0)])

    assert len(first) == 2
    assert again == []
    assert [changed.item.price for changed in dearer] == [11.0]
    assert dearer[0].seq > max(changed.seq for changed in first)


def test_a_patch_changes_what_it_names_and_clears_what_is_null(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert_items(connection, [SHOE])
        patched = patch_item(connection, "17", {"price": 5.0, "categories": None, "stock": None, "created_at": None})

        assert patched is not None
        assert patched.item == replace(SHOE, price=5.0, categories=(), stock=None)
        assert patch_item(connection, "nothing", {"price": 5.0}) is None
        with pytest.raises(ValueError, match="deleted"):
            patch_item(connection, "17", {"deleted": True})


def test_a_deleted_item_is_hidden_but_still_in_the_load_and_comes_back_when_written(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert_items(connection, [SHOE])
        assert delete_item(connection, "17") is not None
        assert delete_item(connection, "17") is None
        assert get_item(connection, "17") is None
        assert [loaded.item.deleted for loaded in load_all(connection)] == [True]
        upsert_items(connection, [SHOE])
        assert get_item(connection, "17") == SHOE


def test_changes_since_a_moment_are_those_and_no_others(engine: Engine) -> None:
    with engine.begin() as connection:
        upsert_items(connection, [SHOE, replace(SHOE, item_id="18")])
    with engine.begin() as connection:
        before = clock(connection)
        patch_item(connection, "18", {"stock": 0})

        assert [changed.item.item_id for changed in changed_since(connection, before)] == ["18"]
        assert changed_since(connection, before + timedelta(hours=1)) == []
