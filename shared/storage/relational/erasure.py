"""What a shopper may ask of their own events: take them along to an account, see them, have them gone.

Called by   services/feature/users.py, erasure_keeper.py (after a restore)
Lock        merge and erasure wait for the writers of events and keep them out until they are committed, so an event is
            either moved or removed by them, or judged by the row they leave behind (event_rows.py)
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from shared.contracts.events import EVENT_TYPES
from shared.contracts.identifiers import user_key as key_of
from shared.storage.relational.json_text import storable_json
from shared.storage.relational.locks import AdvisoryLock, take

EXPORT_CHUNK = 1000

REMOVALS = {
    "event_receipts": "DELETE FROM event_receipts WHERE event_id IN"
    " (SELECT event_id FROM interactions WHERE user_key = ANY(:keys) AND occurred_at <= :until)",
    "interactions": "DELETE FROM interactions WHERE user_key = ANY(:keys) AND occurred_at <= :until",
    "impressions": "DELETE FROM impressions WHERE user_key = ANY(:keys) AND made_at <= :until",
    "user_merges": "DELETE FROM user_merges WHERE user_key = ANY(:keys) AND merged_at <= :until",
    "users": "DELETE FROM users WHERE updated_at <= :until AND user_id IN"
    " (SELECT substr(key, 3) FROM unnest(CAST(:keys AS text[])) AS key WHERE key LIKE 'u:%')",
}
ALL_TIME = datetime(9999, 1, 1, tzinfo=UTC)
CLAIMED_FOR = timedelta(days=8)
"""longer than an event id stays claimed on the stream server (event_stream.CLAIM_TTL_S)"""


@dataclass(frozen=True)
class Erasure:
    """What was removed from Postgres; online state and caches of all `user_keys` are the caller's to remove."""

    user_keys: tuple[str, ...]
    """the account and the visitors that were merged into it"""
    erased_at: datetime
    removed: dict[str, int]
    """rows by table"""
    claimed_event_ids: tuple[str, ...]
    """of events received lately: the stream server may know their ids still"""


def merge_visitor(connection: Connection, visitor_id: str, user_id: str) -> int:
    """Give a visitor's events to an account, those that arrive late too; return how many moved now."""
    take(connection, AdvisoryLock.SHOPPERS)
    keys = {"visitor": key_of(None, visitor_id), "account": key_of(user_id, None)}
    connection.execute(
        text(
            "INSERT INTO user_merges (visitor_key, user_key, merged_at) VALUES (:visitor, :account, clock_timestamp())"
            " ON CONFLICT (visitor_key) DO UPDATE SET user_key = excluded.user_key, merged_at = excluded.merged_at"
        ),
        keys,
    )
    connection.execute(text("UPDATE impressions SET user_key = :account WHERE user_key = :visitor"), keys)
    moved = connection.execute(text("UPDATE interactions SET user_key = :account WHERE user_key = :visitor"), keys)
    return moved.rowcount


def erase_user(connection: Connection, user_id: str) -> Erasure:
    """Remove an account and every visitor merged into it; their late events will be dropped."""
    take(connection, AdvisoryLock.SHOPPERS)
    account = key_of(user_id, None)
    visitors = connection.execute(
        text("SELECT visitor_key FROM user_merges WHERE user_key = :account ORDER BY visitor_key"), {"account": account}
    ).scalars()
    now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return _erase(connection, (account, *visitors), now, ALL_TIME)


def erase_as_of(connection: Connection, user_key: str, erased_at: datetime) -> Erasure:
    """Remove what is older than an erasure of which this database knows nothing; what is newer stays."""
    take(connection, AdvisoryLock.SHOPPERS)
    return _erase(connection, (user_key,), erased_at, erased_at)


def forgotten_erasures(connection: Connection, erased_at: Mapping[str, datetime]) -> list[str]:
    """Return whose erasure this database does not know, or only an older one."""
    query = text("SELECT user_key, erased_at FROM erasures WHERE user_key = ANY(:keys)")
    known = {row.user_key: row.erased_at for row in connection.execute(query, {"keys": list(erased_at)})}
    # The tombstone of the stream server is cut to the millisecond.
    return [key for key, at in erased_at.items() if key not in known or known[key] < at]


def export_user(connection: Connection, user_id: str) -> Iterator[dict[str, Any]]:
    """Yield everything kept of an account as JSON values, one record at a time, each with its `record` kind."""
    account = key_of(user_id, None)
    queries = {
        "user": "SELECT to_jsonb(users) FROM users WHERE user_id = :user_id",
        "merged_visitor": "SELECT to_jsonb(user_merges) FROM user_merges WHERE user_key = :key ORDER BY visitor_key",
        "interaction": "SELECT to_jsonb(interactions) FROM interactions WHERE user_key = :key"
        " ORDER BY occurred_at, event_id",
        "impression": "SELECT to_jsonb(impressions) FROM impressions WHERE user_key = :key ORDER BY made_at",
    }
    for kind, query in queries.items():
        rows = connection.execute(
            text(query), {"user_id": user_id, "key": account}, execution_options={"yield_per": EXPORT_CHUNK}
        )
        for (values,) in rows:
            if kind == "interaction":
                values["type"] = EVENT_TYPES[values["type"]].value
            yield {"record": kind, **values}


def _erase(connection: Connection, user_keys: tuple[str, ...], erased_at: datetime, until: datetime) -> Erasure:
    claimed = connection.execute(
        text("SELECT event_id FROM interactions WHERE user_key = ANY(:keys) AND received_at > :since"),
        {"keys": list(user_keys), "since": erased_at - CLAIMED_FOR},
    ).scalars()
    event_ids = tuple(claimed)
    removed = {
        table: connection.execute(text(statement), {"keys": list(user_keys), "until": until}).rowcount
        for table, statement in REMOVALS.items()
    }
    connection.execute(
        text(
            "INSERT INTO erasures (user_key, erased_at, removed)"
            " SELECT key, :erased_at, CAST(:removed AS jsonb) FROM unnest(CAST(:keys AS text[])) AS key"
            " ON CONFLICT (user_key) DO UPDATE SET erased_at = excluded.erased_at, removed = excluded.removed"
        ),
        {"keys": list(user_keys), "erased_at": erased_at, "removed": storable_json(removed)},
    )
    return Erasure(user_keys, erased_at, removed, event_ids)
