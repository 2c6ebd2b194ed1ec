"""Events on their way to Postgres: appended durably and once, read by the ingest worker.

Called by   services/gateway (append, before the 202), services/feature (read side)
In          events as the shop sent them: an id, the hash of the content, and one StoredEvent for each line
Out         a verdict for each event, in order; the append is on disk when it is given (appendfsync always)
Errors      redis.exceptions.RedisError, among them OutOfMemoryError when the server refuses more: nothing of the
            failing shard's events is then stored
Cost        one round trip and one fsync for each shard, however many events; a claim takes about 150 bytes for 7 days
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from shared.contracts.events import StoredEvent
from shared.storage.redis.clients import AsyncRedis, SyncRedis
from shared.storage.redis.keys import Keys, shard_of
from shared.storage.redis.stream_reader import Backlog, Entry, StreamReader

__all__ = ["Backlog", "Entry", "EventStream", "StreamEvent", "StreamReader", "decode_events", "event_reader"]

CLAIM_TTL_S = 7 * 24 * 3600

Verdict = Literal["accepted", "duplicate", "conflict"]
VERDICTS: tuple[Verdict, ...] = ("accepted", "duplicate", "conflict")

# KEYS: the stream, then the claim of each event. ARGV: seconds to keep a claim, then hash and payload of each event.
CLAIM_AND_APPEND = """
local verdicts = {}
for i = 2, #KEYS do
    local hash, payload = ARGV[2 * i - 2], ARGV[2 * i - 1]
    local known = redis.call('GET', KEYS[i])
    if not known then
        redis.call('SET', KEYS[i], hash, 'EX', ARGV[1])
        redis.call('XADD', KEYS[1], '*', 'payload', payload)
        verdicts[i - 1] = 0
    elseif known == hash then
        verdicts[i - 1] = 1
    else
        verdicts[i - 1] = 2
    end
end
return verdicts
"""

_lines = TypeAdapter(list[StoredEvent])


@dataclass(frozen=True)
class StreamEvent:
    """One event as the shop sent it, resolved into its lines; all lines are of one shopper."""

    event_id: str
    content_hash: str
    """shared.contracts.content_hash"""
    lines: list[StoredEvent]


def decode_events(payload: bytes) -> list[StoredEvent]:
    """Return the lines of one entry; pydantic.ValidationError when it is not one of ours."""
    return _lines.validate_json(payload)


class EventStream:
    """The writing side."""

    def __init__(self, client: AsyncRedis, namespace: str, shards: int = 1, *, claim_ttl_s: int = CLAIM_TTL_S) -> None:
        self._client = client
        self._keys = Keys(namespace)
        self._shards = shards
        self._claim_ttl_s = claim_ttl_s

    async def append(self, events: Sequence[StreamEvent]) -> list[Verdict]:
        """Store the new events durably; say of each whether it was new, known, or known with other content."""
        places: dict[int, list[int]] = defaultdict(list)
        for place, event in enumerate(events):
            places[shard_of(event.lines[0].user_key, self._shards)].append(place)
        codes = await asyncio.gather(
            *(self._append(shard, [events[place] for place in found]) for shard, found in places.items())
        )
        verdicts: list[Verdict] = ["accepted"] * len(events)
        for found, shard_codes in zip(places.values(), codes, strict=True):
            for place, code in zip(found, shard_codes, strict=True):
                verdicts[place] = VERDICTS[code]
        return verdicts

    async def _append(self, shard: int, events: Sequence[StreamEvent]) -> list[int]:
        keys = [self._keys.events(shard), *(self._keys.claim(event.event_id) for event in events)]
        values: list[Any] = [self._claim_ttl_s]
        for event in events:
            values += (event.content_hash, _lines.dump_json(event.lines))
        codes: Any = await self._client.eval(CLAIM_AND_APPEND, len(keys), *keys, *values)
        return list(codes)


def event_reader(client: SyncRedis, namespace: str, shards: int = 1) -> StreamReader:
    """Return the worker's side of all shards."""
    keys = Keys(namespace)
    return StreamReader(client, [keys.events(shard) for shard in range(shards)], keys.dead_events())
