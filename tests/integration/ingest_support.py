"""A stack for tests of the ingest side: real stores, a stream to append to, and the worker as a process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from services.feature.shopper_history import ShopperHistories
from services.feature.user_state import UserStates
from shared.contracts.content_hash import content_hash
from shared.contracts.events import EventType, StoredEvent
from shared.features.catalogue import Catalogue
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.storage.redis.clients import async_client, sync_client
from shared.storage.redis.event_stream import EventStream, StreamEvent, event_reader
from shared.storage.redis.stream_reader import Backlog
from shared.storage.redis.user_state import OnlineStateReader

NAMESPACE = "test"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Stores:
    """Where one test's stores are."""

    database_url: str
    stream_url: str
    cache_url: str


def event(event_id: str, user_key: str = "u:1", **changes: Any) -> StoredEvent:
    """Return one line as the gateway resolves it."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "event_id": event_id,
        "type": EventType.VIEW,
        "user_key": user_key,
        "item_id": "shoe",
        "occurred_at": now - timedelta(milliseconds=5),
        "received_at": now,
        "quantity": 1.0,
        "price": None,
        "value": None,
        "session_id": None,
        "order_id": None,
        "recommendation_id": None,
        "position": None,
        "currency": None,
        "context": {},
    }
    return StoredEvent(**fields | changes)


def sent(*lines: StoredEvent, event_id: str | None = None) -> StreamEvent:
    """Return an event of these lines as it is appended."""
    digest = content_hash(lines, time_given=True)
    hashed = [line.model_copy(update={"content_hash": digest}) for line in lines]
    return StreamEvent(event_id or lines[0].event_id, digest, hashed)


async def append(stores: Stores, events: Sequence[StreamEvent]) -> list[str]:
    """Append events durably; return their verdicts."""
    client = async_client(stores.stream_url)
    try:
        return list(await EventStream(client, NAMESPACE).append(events))
    finally:
        await client.aclose()


@contextmanager
def worker_process(stores: Stores, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker; on the way out it is stopped as a supervisor does, and must end well, unless it was killed."""
    environment = os.environ | {
        "AISLE_NAMESPACE": NAMESPACE,
        "AISLE_DATABASE_URL": stores.database_url,
        "AISLE_REDIS_STREAM_URL": stores.stream_url,
        "AISLE_REDIS_CACHE_URL": stores.cache_url,
        "AISLE_INGEST_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "services.feature.ingest"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        status = process.wait(timeout=20)
    assert status in (0, -signal.SIGKILL)


def backlog(stores: Stores) -> Backlog:
    """Return what the worker still has to do."""
    with sync_client(stores.stream_url) as client:
        return event_reader(client, NAMESPACE).lag()


def await_drained(stores: Stores, timeout_s: float = 30.0) -> None:
    """Wait until every entry is acknowledged."""
    await_true(lambda: backlog(stores) == Backlog(0, 0), timeout_s)


def await_true(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until a condition holds."""
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, "waited too long"
        time.sleep(0.002)


def stored_ids(engine: Engine) -> list[str]:
    """Return the ids of all interactions, one for each row."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT event_id FROM interactions ORDER BY 1")).scalars())


@asynccontextmanager
async def online_states(stores: Stores) -> AsyncIterator[OnlineStateReader]:
    """Return the online states as the feature service sees them."""
    client = async_client(stores.cache_url)
    try:
        yield OnlineStateReader(client, NAMESPACE)
    finally:
        await client.aclose()


@asynccontextmanager
async def user_states(stores: Stores, engine: Engine) -> AsyncIterator[UserStates]:
    """Return the read side over the same stores, with an empty catalogue."""
    histories = ShopperHistories(engine)
    catalogue = Catalogue()
    async with online_states(stores) as online:
        yield UserStates(online, histories, lambda: catalogue, CircuitBreaker())
    histories.close()
