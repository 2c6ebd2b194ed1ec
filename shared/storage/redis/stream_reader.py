"""The worker's side of a stream: read, claim what a dead worker left, acknowledge last, trim behind.

Called by   services/feature (ingest worker), through event_reader and impression_reader
Delivery    at least once: an entry is pending from the moment it is read until it is acknowledged, and whoever dies in
            between leaves it to be claimed by another
Errors      redis.exceptions.RedisError; a group that vanished with its server is made anew
Source      Redis documentation, "Streams": consumer groups, XAUTOCLAIM; "never trim by length blindly"
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from shared.storage.redis.clients import SyncRedis

GROUP = "ingest"
PAYLOAD = b"payload"
# Dead letters wait for somebody to look at them; the bound protects the server's memory from a flood of them.
MAX_DEAD_LETTERS = 100_000


@dataclass(frozen=True)
class Entry:
    """One entry of a stream, in our hands until it is acknowledged."""

    stream: str
    id: str
    payload: bytes
    deliveries: int
    """how often it was handed out, this time included"""


@dataclass(frozen=True)
class Backlog:
    """What still has to be done."""

    unread: int
    pending: int


class StreamReader:
    """A consumer group over the shards of one stream. One reader for each thread."""

    def __init__(self, client: SyncRedis, streams: Sequence[str], dead_key: str) -> None:
        self._client = client
        self._streams = list(streams)
        self._dead_key = dead_key

    def ensure_group(self) -> None:
        """Create the streams and their group where they are missing."""
        for stream in self._streams:
            try:
                self._client.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """Return up to `count` new entries of each shard, waiting at most `block_ms` for the first."""
        try:
            found: Any = self._client.xreadgroup(
                GROUP, consumer, dict.fromkeys(self._streams, ">"), count=count, block=block_ms
            )
        except ResponseError as error:
            self._remake_group(error)
            return []
        return [
            Entry(stream.decode(), entry_id.decode(), fields.get(PAYLOAD, b""), deliveries=1)
            for stream, entries in found or []
            for entry_id, fields in entries
        ]

    def claim_stale(self, consumer: str, min_idle_ms: int, count: int = 1000) -> list[Entry]:
        """Take over up to `count` entries of each shard that nobody acknowledged for `min_idle_ms`."""
        claimed: list[Entry] = []
        for stream in self._streams:
            try:
                claimed += self._claim(stream, consumer, min_idle_ms, count)
            except ResponseError as error:
                self._remake_group(error)
        return claimed

    def _claim(self, stream: str, consumer: str, min_idle_ms: int, count: int) -> list[Entry]:
        cursor = b"0-0"
        found: list[tuple[bytes, dict[bytes, bytes]]] = []
        while len(found) < count:
            reply: Any = self._client.xautoclaim(
                stream, GROUP, consumer, min_idle_ms, start_id=cursor, count=count - len(found)
            )
            cursor, entries = reply[0], reply[1]
            found += [(entry_id, fields) for entry_id, fields in entries if fields is not None]
            if cursor == b"0-0":
                break
        if not found:
            return []
        deliveries = self._deliveries(stream, consumer, [entry_id for entry_id, _ in found])
        return [
            Entry(stream, entry_id.decode(), fields.get(PAYLOAD, b""), deliveries.get(entry_id, 1))
            for entry_id, fields in found
        ]

    def _deliveries(self, stream: str, consumer: str, ids: list[bytes]) -> dict[bytes, int]:
        pending: Any = self._client.xpending_range(
            stream, GROUP, min=min(ids, key=_order), max=max(ids, key=_order), count=len(ids), consumername=consumer
        )
        return {entry["message_id"]: entry["times_delivered"] for entry in pending}

    def acknowledge(self, entries: Iterable[Entry]) -> None:
        """Say that everything these entries change is changed: they are never delivered again."""
        ids: dict[str, list[str]] = defaultdict(list)
        for entry in entries:
            ids[entry.stream].append(entry.id)
        with self._client.pipeline(transaction=False) as pipeline:
            for stream, stream_ids in ids.items():
                pipeline.xack(stream, GROUP, *stream_ids)
            pipeline.execute()

    def dead_letter(self, entry: Entry, reason: str) -> None:
        """Put an entry aside with the reason, and acknowledge it, both or neither."""
        letter: Any = {"stream": entry.stream, "id": entry.id, "reason": reason, PAYLOAD: entry.payload}
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(self._dead_key, letter, maxlen=MAX_DEAD_LETTERS, approximate=True)
            pipeline.xack(entry.stream, GROUP, entry.id)
            pipeline.execute()

    def dead_letters(self, count: int = 100) -> list[dict[str, str]]:
        """Return the newest entries put aside, newest first."""
        found: Any = self._client.xrevrange(self._dead_key, count=count)
        return [
            {name.decode(): value.decode(errors="replace") for name, value in fields.items()} for _, fields in found
        ]

    def trim_behind_pending(self) -> int:
        """Remove what every reader is done with; return how many entries went."""
        return sum(self._trim(stream) for stream in self._streams)

    def _trim(self, stream: str) -> int:
        groups: Any = self._client.xinfo_groups(stream)
        if not groups:
            return 0
        floors = []
        for group in groups:
            pending: Any = self._client.xpending(stream, group["name"])
            floors.append(_order(pending["min"]) if pending["pending"] else _next(group["last-delivered-id"]))
        floor = min(floors)
        removed: Any = self._client.xtrim(stream, minid=f"{floor[0]}-{floor[1]}", approximate=False)
        return int(removed)

    def lag(self) -> Backlog:
        """Return how many entries nobody has read, and how many were read and not acknowledged."""
        unread = pending = 0
        for stream in self._streams:
            groups: Any = self._client.xinfo_groups(stream)
            ours = [group for group in groups if group["name"] == GROUP.encode()]
            # Before the first worker made the group, nobody has read anything.
            unread += self._unread(stream, ours[0]) if ours else int(self._client.xlen(stream))
            pending += ours[0]["pending"] if ours else 0
        return Backlog(unread, pending)

    def _unread(self, stream: str, group: dict[str, Any]) -> int:
        """Return the server's own count (Redis 7), else count: the stream is trimmed, so it is short."""
        if group.get("lag") is not None:
            return int(group["lag"])
        after: Any = self._client.xrange(stream, min=b"(" + group["last-delivered-id"])
        return len(after)

    def _remake_group(self, error: ResponseError) -> None:
        if "NOGROUP" not in str(error):
            raise error
        self.ensure_group()


def _order(entry_id: bytes) -> tuple[int, int]:
    """Return an id as the pair of numbers by which streams are ordered."""
    at_ms, _, number = entry_id.partition(b"-")
    return int(at_ms), int(number)


def _next(entry_id: bytes) -> tuple[int, int]:
    at_ms, number = _order(entry_id)
    return at_ms, number + 1
