"""API keys from the command to the gateway's memory, over real stores."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from services.feature.key_carrier import KeyCarrier
from services.gateway.key_ring import KeyRing
from shared.contracts.access import Scope, digest_of
from shared.service.clock import SystemClock
from shared.storage.redis.api_keys import KeyStore
from shared.storage.redis.change_stream import ChangeKind, ChangeStream
from shared.storage.redis.clients import AsyncRedis, async_client
from shared.storage.redis.rate_limit import RateBuckets
from shared.storage.relational.api_keys import (
    UnknownKeyError,
    create_key,
    list_keys,
    revoke_keys,
    rotate_key,
    usable_keys,
)


class Command:
    """`aisle keys` on the stores of one test."""

    def __init__(self, home: Path, database_url: str, stream_url: str) -> None:
        self.environment = {
            "PATH": "/usr/bin:/bin",
            "AISLE_HOME": str(home),
            "AISLE_DATABASE_URL": database_url,
            "AISLE_REDIS_STREAM_URL": stream_url,
            "COLUMNS": "160",
        }

    def keys(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "services.command.main", "keys", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
async def stream(stream_url: str) -> AsyncIterator[AsyncRedis]:
    async with async_client(stream_url) as client:
        yield client


def test_a_key_is_kept_as_its_hash_only_and_rotated_and_revoked_by_id_or_name(engine: Engine) -> None:
    with engine.begin() as rows:
        made = create_key(rows, "shop-front", [Scope.RECOMMEND], requests_per_s=5)
        kept = rows.execute(text("SELECT api_keys::text FROM api_keys")).scalar_one()
        assert made.key not in kept
        assert digest_of(made.key.encode()) in kept
    with engine.begin() as rows:
        other = rotate_key(rows, "shop-front", timedelta(hours=1))
        usable = {key.digest: key for key in usable_keys(rows).keys}
        assert set(usable) == {digest_of(made.key.encode()), digest_of(other.key.encode())}
        old = usable[digest_of(made.key.encode())]
        assert old.expires_at_ms is not None
        left_s = old.expires_at_ms / 1000 - datetime.now(UTC).timestamp()
        assert 3500 < left_s < 3700
        assert usable[digest_of(other.key.encode())].requests_per_s == 5
    with engine.begin() as rows:
        # Rotated again: the newest key of the name, and the end of the oldest is not put off.
        rotate_key(rows, "shop-front", timedelta(hours=9))
        assert {key.digest: key for key in usable_keys(rows).keys}[old.digest].expires_at_ms == old.expires_at_ms
    with engine.begin() as rows:
        assert [row.key_id for row in revoke_keys(rows, old.key_id)] == [old.key_id]
        assert len(revoke_keys(rows, "shop-front")) == 2
        assert usable_keys(rows).keys == []
        assert usable_keys(rows).issued
        assert len(list_keys(rows)) == 3
    with engine.begin() as rows, pytest.raises(UnknownKeyError):
        revoke_keys(rows, "shop-front")


async def test_a_key_made_by_the_command_is_in_the_gateways_memory_at_once_and_out_of_it_when_revoked(
    tmp_path: Path, database_url: str, stream_url: str, stream: AsyncRedis
) -> None:
    command = Command(tmp_path, database_url, stream_url)
    store, changes = KeyStore(stream, "aisle"), ChangeStream(stream, "aisle")
    made = await asyncio.to_thread(command.keys, "create", "shop-front", "--scopes", "recommend,ingest", "--rate", "7")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    ring = KeyRing([], required=False, snapshot_path=tmp_path / "keys.json", clock=SystemClock())
    following = asyncio.create_task(ring.follow(store))
    try:
        await until(lambda: ring.is_closed)
        found = ring.find(key.encode())
        assert found is not None
        assert (found.scopes, found.requests_per_s) == ({"recommend", "ingest"}, 7)
        assert (await anext(changes.tail("0-0"))).kind == ChangeKind.KEYS
        listed = await asyncio.to_thread(command.keys, "list")
        assert found.key_id in listed.stdout
        assert key not in listed.stdout
        revoked = await asyncio.to_thread(command.keys, "revoke", "shop-front")
        assert found.key_id in revoked.stdout
        ring.refresh_soon()
        await until(lambda: ring.find(key.encode()) is None)
        assert ring.is_closed
    finally:
        following.cancel()


async def test_what_the_command_could_not_tell_feature_carries_when_the_stream_server_is_back(
    engine: Engine, stream: AsyncRedis
) -> None:
    store = KeyStore(stream, "aisle")
    carrier = KeyCarrier(engine, store)
    await carrier.carry()
    assert (await store.get()) == usable_keys_of(engine)
    with engine.begin() as rows:
        create_key(rows, "late", [Scope.CATALOG])
    await carrier.carry()
    assert [key.scopes for key in (await store.get() or usable_keys_of(engine)).keys] == [{"catalog"}]
    await stream.set("aisle:api-keys", "what nobody of us wrote")
    await carrier.carry()
    assert (await store.get()) == usable_keys_of(engine)


def usable_keys_of(engine: Engine) -> object:
    with engine.begin() as rows:
        return usable_keys(rows)


def test_a_wrong_scope_and_an_unknown_key_are_named(tmp_path: Path, database_url: str, stream_url: str) -> None:
    command = Command(tmp_path, database_url, stream_url)
    wrong = command.keys("create", "x", "--scopes", "recommend,everything")
    assert wrong.returncode == 2
    assert "recommend, ingest, catalog, privacy, admin" in wrong.stderr
    unknown = command.keys("revoke", "nobody")
    assert unknown.returncode == 1
    assert "nobody" in unknown.stderr
    assert "Traceback" not in unknown.stderr


async def test_all_gateways_together_get_the_rate_of_a_key_and_no_more(cache_url: str) -> None:
    async with async_client(cache_url) as first, async_client(cache_url) as second:
        buckets = [RateBuckets(client, "aisle") for client in (first, second)]
        grants = [await buckets[turn % 2].take("key-1", 0.5, 10.0, 3) for turn in range(6)]
        assert [grant.tokens for grant in grants] == [3, 3, 3, 1, 0, 0]
        assert 0 < grants[-1].wait_s <= 2
        assert (await buckets[0].take("key-2", 0.5, 10.0, 3)).tokens == 3
        assert (await buckets[0].owe("key-4", 10.0, 20.0, 25)).tokens == 25
        owing = await buckets[1].take("key-4", 10.0, 20.0, 1)
        assert owing.tokens == 0
        assert 0.4 < owing.wait_s <= 0.6
        filling = [await buckets[0].take("key-3", 50.0, 1.0, 1)]
        await asyncio.sleep(0.03)
        filling.append(await buckets[1].take("key-3", 50.0, 1.0, 1))
        assert [grant.tokens for grant in filling] == [1, 1]
        assert 0 < await first.ttl("aisle:rate:key-1") <= 41


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)
