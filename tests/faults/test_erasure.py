"""F24: a shopper is erased while the shop serves and ingests; nothing of them is left, and nothing comes back."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shared.storage.redis.clients import SyncRedis, sync_client
from shared.storage.redis.keys import Keys
from shared.storage.relational.engine import make_engine
from shared.storage.relational.export import export_columns
from tests.faults.database import rows
from tests.faults.stack import FaultStack
from tests.faults.traffic import Traffic
from tests.running_shop import until

NAME, OTHER = "erased-f24", "stays-f24"
GONE_S = 60.0
TOMBSTONES = ("erasures", Keys("aisle").tombstones())
"""name whom to drop late events of, until no backup can be that old"""


@pytest.mark.case("F24")
def test_an_erased_shopper_is_nowhere_and_what_comes_late_is_dropped(
    stack: FaultStack, held: Callable[[str], None], tmp_path: Path
) -> None:
    leave_traces(stack)
    exported = [json.loads(line) for line in stack.text(f"/users/{NAME}/export").splitlines()]
    assert sum(NAME in json.dumps(record) for record in exported) >= 10
    before = traces(stack)
    assert {"interactions", "impressions", "users"} <= set(before)
    dropped = stack.figures("ingest").of("ingest_erased_total")
    with Traffic(stack, 8) as traffic:
        time.sleep(1)
        stack.children["ingest"].process.suspend()
        waiting = send(stack, range(100, 110))
        receipt = stack.delete(f"/users/{NAME}")
        stack.children["ingest"].process.resume()
        begun_s = time.monotonic()
        late = send(stack, range(110, 115), occurred_at="2026-01-02T03:04:05Z")
        until(lambda: set(traces(stack)) <= set(TOMBSTONES), GONE_S)
        gone_s = time.monotonic() - begun_s
    in_time = traffic.in_time()
    assert receipt.status == 200
    assert {"postgres.interactions", "redis.online_state", "redis.cached_lists", "redis.event_stream"} <= set(
        receipt.body["removed"]
    )
    assert receipt.body["removed"]["redis.event_stream"] >= waiting
    assert stack.figures("ingest").of("ingest_erased_total") - dropped >= late
    learned_from = training_set(stack, tmp_path)
    assert (NAME in learned_from, OTHER in learned_from) == (False, True)
    assert stack.get(f"/users/{NAME}/export").status == 404
    assert stack.recommend(user_id=NAME, dry_run=True)["degraded_reason"] == "cold_start"
    held(
        f"{len(exported)} records exported, then erased from {len(before)} places in {gone_s:.1f} s beside {in_time};"
        f" {waiting} waiting events removed, {late} late ones dropped and counted"
    )


def leave_traces(stack: FaultStack) -> None:
    """Let the shopper be known everywhere: profile, events, lists shown, lists kept, dead letters."""
    other = {"type": "view", "user_id": OTHER, "item_id": "wine-plain-0", "event_id": OTHER}
    assert stack.post("/events", other).body["accepted"] == 1
    assert stack.post("/users", {"users": [{"user_id": NAME, "region": "north"}]}).status == 200
    send(stack, range(10))
    until(lambda: stack.recommend(user_id=NAME)["degraded_reason"] == "none")
    until(lambda: stack.recommend(user_id=NAME)["served_from"] == "cache")
    with sync_client(stack.stream.url) as client:
        letter = json.dumps([{"user_key": f"u:{NAME}", "event_id": f"{NAME}-dead"}], separators=(",", ":"))
        client.xadd(Keys("aisle").dead_events(), {"payload": letter, "reason": "of a test"})
    until(lambda: rows(stack, "SELECT count(*) AS n FROM impressions WHERE user_key = :key", key=f"u:{NAME}")[0].n > 0)


def send(stack: FaultStack, numbers: range, **fields: Any) -> int:
    """Send events of the shopper; return how many were accepted."""
    events = [
        {"type": "view", "user_id": NAME, "item_id": "wine-plain-0", "event_id": f"{NAME}-{number}", **fields}
        for number in numbers
    ]
    accepted = int(stack.post("/events", {"events": events}).body["accepted"])
    assert accepted == len(events)
    return accepted


def traces(stack: FaultStack) -> list[str]:
    """Return every table and key that holds the shopper's name."""
    tables = rows(stack, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    found = [
        table.table_name
        for table in tables
        if rows(stack, f"SELECT 1 FROM {table.table_name} AS t WHERE t::text LIKE '%{NAME}%' LIMIT 1")  # noqa: S608
    ]
    for server in (stack.stream, stack.cache):
        with sync_client(server.url) as client:
            found += [key for key, content in contents(client) if NAME in key or NAME in content]
    return found


def contents(client: SyncRedis) -> Iterator[tuple[str, str]]:
    """Yield every key of a server with what it holds, as text."""
    readers: dict[bytes, Callable[[Any], Any]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"stream": client.xrange,
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    for key in client.scan_iter(count=1000):
        kind: Any = client.type(key)
        if kind in readers:
            yield key.decode(), str(readers[kind](key))


def training_set(stack: FaultStack, folder: Path) -> str:
    """Return what the next training would read, as text."""
    engine = make_engine(stack.database_url, pool_size=1)
    try:
        export_columns(engine, folder / "events.parquet")
    finally:
        engine.dispose()
    return str(pq.read_table(folder / "events.parquet").to_pydict())
