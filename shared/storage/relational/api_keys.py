"""API keys as rows: made, listed, rotated, revoked; never deleted, so that the list tells who could do what, and when.

Called by   services/command/keys_command.py, services/feature/key_carrier.py (`usable`)
In          `which` is a key's id (the first digits of its SHA-256) or its name
Errors      UnknownKeyError; sqlalchemy.exc.DBAPIError
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from shared.contracts.access import KEY_ID_LENGTH, ApiKey, ApiKeys, Scope, digest_of, new_key
from shared.contracts.times import epoch_ms
from shared.storage.relational.tables import api_keys

MAX_LISTED = 1000


class UnknownKeyError(LookupError):
    """No key that may still be used has this id or name."""


@dataclass(frozen=True)
class KeyRow:
    """One key, as a person may see it."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    requests_per_s: float | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True)
class NewKey:
    """A key just made; this is the only time that it is seen."""

    key: str
    row: KeyRow


def create_key(
    connection: Connection,
    name: str,
    scopes: Sequence[Scope],
    *,
    lifetime: timedelta | None = None,
    requests_per_s: float | None = None,
) -> NewKey:
    """Make a key."""
    key = new_key()
    values = {
        "key_hash": bytes.fromhex(digest_of(key.encode())),
        "name": name,
        "scopes": [scope.value for scope in scopes],
        "requests_per_s": requests_per_s,
        "expires_at": None if lifetime is None else func.now() + lifetime,
    }
    return NewKey(key, _key_row(connection.execute(insert(api_keys).values(values).returning(api_keys)).one()))


def list_keys(connection: Connection) -> list[KeyRow]:
    """Return the newest keys, the newest first, those revoked too."""
    newest = select(api_keys).order_by(api_keys.c.created_at.desc(), api_keys.c.key_hash).limit(MAX_LISTED)
    return [_key_row(row) for row in connection.execute(newest)]


def rotate_key(connection: Connection, which: str, overlap: timedelta) -> NewKey:
    """Make a key like the newest of this id or name; the old one ends after `overlap`, time to put the new one in."""
    old = connection.execute(
        select(api_keys).where(_matches(which), _is_usable()).order_by(api_keys.c.created_at.desc()).limit(1)
    ).first()
    if old is None:
        raise UnknownKeyError(which)
    ends_at = func.least(func.coalesce(api_keys.c.expires_at, func.now() + overlap), func.now() + overlap)
    connection.execute(update(api_keys).where(api_keys.c.key_hash == old.key_hash).values(expires_at=ends_at))
    scopes = [Scope(scope) for scope in old.scopes]
    return create_key(connection, old.name, scopes, requests_per_s=old.requests_per_s)


def revoke_keys(connection: Connection, which: str) -> list[KeyRow]:
    """End every key of this id or name now; return them."""
    revoked = connection.execute(
        update(api_keys).where(_matches(which), _is_usable()).values(revoked_at=func.now()).returning(api_keys)
    ).all()
    if not revoked:
        raise UnknownKeyError(which)
    return [_key_row(row) for row in revoked]


def usable_keys(connection: Connection) -> ApiKeys:
    """Return what the gateway must know."""
    rows = connection.execute(select(api_keys).where(_is_usable()).order_by(api_keys.c.key_hash)).all()
    issued = connection.execute(select(api_keys.c.key_hash).limit(1)).first() is not None
    return ApiKeys(issued=issued, keys=[_api_key(row) for row in rows])


def _matches(which: str) -> ColumnElement[bool]:
    key_id = func.substr(func.encode(api_keys.c.key_hash, "hex"), 1, KEY_ID_LENGTH)
    return (key_id == which) | (api_keys.c.name == which)


def _is_usable() -> ColumnElement[bool]:
    unexpired = api_keys.c.expires_at.is_(None) | (api_keys.c.expires_at > func.now())
    return api_keys.c.revoked_at.is_(None) & unexpired


def _api_key(row: Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(
        digest=row.key_hash.hex(),
        scopes=frozenset(row.scopes),
        expires_at_ms=None if row.expires_at is None else epoch_ms(row.expires_at),
        requests_per_s=row.requests_per_s,
    )


def _key_row(row: Row[tuple[object, ...]]) -> KeyRow:
    return KeyRow(
        key_id=row.key_hash.hex()[:KEY_ID_LENGTH],
        name=row.name,
        scopes=tuple(row.scopes),
        requests_per_s=row.requests_per_s,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
