"""The catalogue in Postgres: items written, changed, hidden and read.

Called by   services/feature (routes), services/training (import, snapshot), shared/storage/live_catalogue.py
Sequence    every change of a row gives it the next number of one sequence, drawn while the row is locked: of two
            changes of one item the later has the higher number, whatever order they are told in
Deleted     an item is hidden, never removed: old events still need its category
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, text, update

from shared.features.catalogue import CatalogueItem
from shared.storage.item_json import item_to_json
from shared.storage.relational.json_text import storable_json
from shared.storage.relational.tables import items

LOAD_CHUNK = 5000

# An item that is written as it already stands keeps its number, so that importing a file twice changes nothing.
UPSERT = text("""
WITH arrived AS (
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS fields (
        item_id text, is_integer boolean, title text, description text, categories text[], brand text,
        price double precision, currency text, stock bigint, rating double precision, attributes jsonb, image_url text,
        available_from timestamptz, available_until timestamptz, created_at timestamptz, deleted boolean)
)
INSERT INTO items AS known (item_id, id_is_integer, title, description, categories, brand, price, currency, stock,
    rating, attributes, image_url, available_from, available_until, created_at, deleted)
SELECT arrived.item_id, arrived.is_integer, arrived.title, arrived.description, arrived.categories, arrived.brand,
    arrived.price, arrived.currency, arrived.stock, arrived.rating, arrived.attributes, arrived.image_url,
    arrived.available_from, arrived.available_until, coalesce(arrived.created_at, before.created_at, now()),
    arrived.deleted
FROM arrived LEFT JOIN items AS before ON before.item_id = arrived.item_id
ORDER BY arrived.item_id COLLATE "C"
ON CONFLICT (item_id) DO UPDATE SET
    id_is_integer = excluded.id_is_integer, title = excluded.title, description = excluded.description,
    categories = excluded.categories, brand = excluded.brand, price = excluded.price, currency = excluded.currency,
    stock = excluded.stock, rating = excluded.rating, attributes = excluded.attributes,
    image_url = excluded.image_url, available_from = excluded.available_from,
    available_until = excluded.available_until, created_at = excluded.created_at, deleted = excluded.deleted,
    updated_at = clock_timestamp(), updated_seq = nextval(pg_get_serial_sequence('items', 'updated_seq'))
WHERE (known.id_is_integer, known.title, known.description, known.categories, known.brand, known.price,
        known.currency, known.stock, known.rating, known.attributes, known.image_url, known.available_from,
        known.available_until, known.created_at, known.deleted)
    IS DISTINCT FROM (excluded.id_is_integer, excluded.title, excluded.description, excluded.categories,
        excluded.brand, excluded.price, excluded.currency, excluded.stock, excluded.rating, excluded.attributes,
        excluded.image_url, excluded.available_from, excluded.available_until, excluded.created_at, excluded.deleted)
RETURNING *
""")

# What a column holds when a change clears it.
CLEARED: dict[str, Any] = {"categories": [], "attributes": {}}
CHANGEABLE = frozenset(items.c.keys()) - {"item_id", "id_is_integer", "deleted", "updated_at", "updated_seq"}


@dataclass(frozen=True)
class SequencedItem:
    """An item and the number of its last change."""

    seq: int
    item: CatalogueItem


def upsert_items(connection: Connection, wanted: Sequence[CatalogueItem]) -> list[SequencedItem]:
    """Write items whole; return those that are new or changed. The last of several of one id counts."""
    rows = [item_to_json(item) for item in {item.item_id: item for item in wanted}.values()]
    if not rows:
        return []
    return [_sequenced(row) for row in connection.execute(UPSERT, {"rows": storable_json(rows)})]


def patch_item(connection: Connection, item_id: str, changes: Mapping[str, Any]) -> SequencedItem | None:
    """Change some columns, None clears one; return the item, None if there is none. ValueError names a wrong column."""
    unknown = set(changes) - CHANGEABLE
    if unknown:
        raise ValueError(f"no such field of an item: {', '.join(sorted(unknown))}")
    values = {name: CLEARED.get(name) if value is None else value for name, value in changes.items()}
    if values.get("created_at", 0) is None:
        del values["created_at"]  # an item was created at some time; clearing that means nothing
    return _change(connection, item_id, values)


def delete_item(connection: Connection, item_id: str) -> SequencedItem | None:
    """Hide an item; return it, None if there is none."""
    return _change(connection, item_id, {"deleted": True})


def get_item(connection: Connection, item_id: str) -> CatalogueItem | None:
    """Return an item that is not deleted."""
    found = connection.execute(select(items).where(items.c.item_id == item_id, items.c.deleted.is_(False))).first()
    return None if found is None else _sequenced(found).item


def known_item_ids(connection: Connection) -> set[str]:
    """Return the ids of all items, deleted ones too."""
    return set(connection.execute(select(items.c.item_id)).scalars())


def load_all(connection: Connection) -> Iterator[SequencedItem]:
    """Yield every item, deleted ones too, in the order of their ids, a chunk in memory at a time."""
    everything = select(items).order_by(items.c.item_id)
    return map(_sequenced, connection.execute(everything, execution_options={"yield_per": LOAD_CHUNK}))


def changed_since(connection: Connection, moment: datetime) -> list[SequencedItem]:
    """Return the items changed at or after a moment of the database's clock, oldest change first."""
    changed = select(items).where(items.c.updated_at >= moment).order_by(items.c.updated_seq)
    return [_sequenced(row) for row in connection.execute(changed)]


def clock(connection: Connection) -> datetime:
    """Return the database's time."""
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _change(connection: Connection, item_id: str, values: Mapping[str, Any]) -> SequencedItem | None:
    changed = connection.execute(
        update(items)
        .where(items.c.item_id == item_id, items.c.deleted.is_(False))
        .values(
            **values,
            updated_at=func.clock_timestamp(),
            updated_seq=func.nextval(func.pg_get_serial_sequence("items", "updated_seq")),
        )
        .returning(items)
    ).first()
    return None if changed is None else _sequenced(changed)


def _sequenced(row: Row[Any]) -> SequencedItem:
    item = CatalogueItem(
        item_id=row.item_id,
        is_integer=row.id_is_integer,
        title=row.title,
        description=row.description,
        categories=tuple(row.categories),
        brand=row.brand,
        price=row.price,
        currency=row.currency,
        stock=row.stock,
        rating=row.rating,
        attributes=row.attributes,
        image_url=row.image_url,
        available_from=row.available_from,
        available_until=row.available_until,
        created_at=row.created_at,
        deleted=row.deleted,
    )
    return SequencedItem(row.updated_seq, item)
