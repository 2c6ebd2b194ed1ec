"""Accounts: what the shop says of them, their consent, the merge of a visitor, export and erasure.

Called by   routes.py
Online      after every change of the database the online state is dropped and rebuilt by the next reader; that also
            makes cached lists stale. A change that could not drop it is answered as failed (STORE_ERRORS), though it is
            stored: the shop sends it again, and dropping comes after every sending, new or not
Consent     withdrawn: cached lists made with it go at once, since an outage would serve them as a fallback
Erasure     1. both Redis servers must answer, else nothing is begun
            2. Postgres: rows and tombstone in one transaction; from now on late events are dropped
            3. the tombstone's copy on the stream server, then online state, cached lists, waiting and dead stream
            entries and claimed event ids, of the account and its merged visitors
            It may be repeated; the receipt names every store and what went
Errors      UnknownUserError; STORAGE_DOWN_ERRORS; STORE_ERRORS
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Protocol

import orjson

from services.feature.transactions import in_transaction
from shared.contracts.identifiers import user_key
from shared.contracts.times import epoch_ms
from shared.contracts.users import ErasureReceipt, User, UserMerge, UserPatch, UserRecord
from shared.service.clock import iso_of
from shared.storage.relational import erasure, users
from shared.storage.relational.engine import Engine

EXPORT_BATCH = 500
MAX_EXPORTS = 2


class UnknownUserError(Exception):
    """Nothing is known of this account."""


class TooManyExportsError(Exception):
    """MAX_EXPORTS are under way, and each holds a connection as long as its reader takes."""


class OnlineCopies(Protocol):
    """shared.storage.redis.user_state.OnlineStateReader."""

    async def forget(self, user_keys: Iterable[str]) -> None:
        """Drop states; the next reader rebuilds them."""
        ...

    async def erase(self, user_key: str) -> None:
        """Drop a state for good."""
        ...


class CachedLists(Protocol):
    """shared.storage.redis.recommendation_cache.RecommendationCache."""

    async def erase(self, user_key: str) -> int:
        """Delete every list kept for a shopper."""
        ...


class WaitingEntries(Protocol):
    """shared.storage.redis.stream_erasure.StreamErasure."""

    async def check(self) -> None:
        """Raise unless the server answers."""
        ...

    async def erase(self, user_keys: Sequence[str]) -> dict[str, int]:
        """Delete every stream entry of shoppers, and what is remembered of its events; return how many, by kind."""
        ...

    async def erase_claims(self, event_ids: Sequence[str]) -> int:
        """Delete what is remembered of event ids; return how many there were."""
        ...


class ErasureCopies(Protocol):
    """shared.storage.redis.tombstones.Tombstones."""

    async def add(self, user_keys: Sequence[str], erased_at_ms: int) -> None:
        """Remember an erasure."""
        ...


class Accounts:
    """All accounts of one install. Belongs to one event loop."""

    def __init__(
        self,
        engine: Engine,
        online: OnlineCopies,
        lists: CachedLists,
        streams: WaitingEntries,
        tombstones: ErasureCopies,
    ) -> None:
        self._engine = engine
        self._online = online
        self._lists = lists
        self._streams = streams
        self._tombstones = tombstones
        self._exports = 0

    async def upsert(self, wanted: Sequence[User]) -> None:
        """Write accounts whole: what an account does not say is cleared."""
        await in_transaction(self._engine, lambda connection: users.upsert_users(connection, wanted))
        refused = [user.user_id for user in wanted if user.consent is not None and not user.consent.personalisation]
        await self._forget((user.user_id for user in wanted), refused)

    async def patch(self, user_id: str, patch: UserPatch) -> UserRecord:
        """Change the fields that the patch names."""
        record = await in_transaction(self._engine, lambda connection: users.patch_user(connection, user_id, patch))
        if record is None:
            raise UnknownUserError
        refused = [user_id] if record.consent is not None and not record.consent.personalisation else []
        await self._forget([user_id], refused)
        return record

    async def get(self, user_id: str) -> UserRecord:
        """Return an account."""
        record = await in_transaction(self._engine, lambda connection: users.get_user(connection, user_id))
        if record is None:
            raise UnknownUserError
        return record

    async def merge(self, merge: UserMerge) -> int:
        """Give a visitor's events, also those still on their way, to an account; return how many moved now."""
        moved = await in_transaction(
            self._engine, lambda connection: erasure.merge_visitor(connection, merge.visitor_id, merge.user_id)
        )
        await self._online.forget([user_key(None, merge.visitor_id), user_key(merge.user_id, None)])
        return moved

    async def erase(self, user_id: str) -> ErasureReceipt:
        """Remove every trace of an account, and of the visitors merged into it."""
        # Nothing is begun while one of the servers is away.
        await self._streams.check()
        await self._online.erase(user_key(user_id, None))
        erased = await in_transaction(self._engine, lambda connection: erasure.erase_user(connection, user_id))
        await self._tombstones.add(erased.user_keys, epoch_ms(erased.erased_at))
        removed = await self._erase_copies(erased)
        return ErasureReceipt(user_id=user_id, erased_at=iso_of(epoch_ms(erased.erased_at)), removed=removed)

    async def erase_restored(self, user_key: str, erased_at: datetime) -> None:
        """Remove what a backup from before an erasure brought back of a shopper."""
        erased = await in_transaction(
            self._engine, lambda connection: erasure.erase_as_of(connection, user_key, erased_at)
        )
        await self._erase_copies(erased)

    async def _erase_copies(self, erased: erasure.Erasure) -> dict[str, int]:
        """Remove what stands outside of Postgres; return what went from every store."""
        removed = {f"postgres.{table}": rows for table, rows in erased.removed.items()}
        lists = 0
        for key in erased.user_keys:
            await self._online.erase(key)
            lists += await self._lists.erase(key)
        removed["redis.online_state"] = len(erased.user_keys)
        removed["redis.cached_lists"] = lists
        for kind, number in (await self._streams.erase(erased.user_keys)).items():
            removed[f"redis.{kind}"] = number
        removed["redis.event_claims"] += await self._streams.erase_claims(erased.claimed_event_ids)
        return removed

    async def export(self, user_id: str) -> AsyncIterator[bytes]:
        """Return everything kept of an account, as JSON lines; the first chunk is read when this returns."""
        if self._exports >= MAX_EXPORTS:
            raise TooManyExportsError
        self._exports += 1
        chunks = _exported(self._engine, user_id)
        try:
            first = await asyncio.to_thread(next, chunks, None)
            if first is None:
                raise UnknownUserError
        except BaseException:
            self._exports -= 1
            raise
        return self._rest(first, chunks)

    async def _rest(self, first: bytes, chunks: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
        """Yield chunks, each fetched in a thread."""
        try:
            chunk: bytes | None = first
            while chunk is not None:
                yield chunk
                chunk = await asyncio.to_thread(next, chunks, None)
        finally:
            self._exports -= 1
            await asyncio.to_thread(chunks.close)

    async def _forget(self, user_ids: Iterable[str], refused: Iterable[str]) -> None:
        await self._online.forget([user_key(user_id, None) for user_id in user_ids])
        for user_id in refused:
            # As if erased: a list that is being made with what was known must not be kept either.
            await self._online.erase(user_key(user_id, None))
            await self._lists.erase(user_key(user_id, None))


def _exported(engine: Engine, user_id: str) -> Generator[bytes, None, None]:
    """Yield the records as JSON lines, EXPORT_BATCH at a time; the connection is given back at the end."""
    with engine.connect() as connection:
        records = erasure.export_user(connection, user_id)
        while lines := b"".join(
            orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in islice(records, EXPORT_BATCH)
        ):
            yield lines
