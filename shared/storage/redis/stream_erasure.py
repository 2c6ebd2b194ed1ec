"""Delete what the stream server still holds of a shopper: entries waiting, done and not yet trimmed, dead; claims.

Called by   services/feature/users.py (erasure)
Cost        walks the four kinds of streams once; they are trimmed behind the worker, so they are short
Matching    an entry is a shopper's if a line of it has their key; one that cannot be read and names the key goes too
Errors      STORE_ERRORS of clients.py
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from shared.storage.redis.clients import AsyncRedis
from shared.storage.redis.keys import Keys
from shared.storage.redis.stream_reader import GROUP, PAYLOAD

PAGE = 1000
LINE = re.compile(r"#[0-9]+$")


class StreamErasure:
    """The streams of one install."""

    def __init__(self, client: AsyncRedis, namespace: str, shards: int = 1) -> None:
        keys = self._keys = Keys(namespace)
        self._client = client
        self._streams = {
            "event_stream": [keys.events(shard) for shard in range(shards)],
            "impression_stream": [keys.impressions()],
            "dead_letters": [keys.dead_events(), keys.dead_impressions()],
        }

    async def check(self) -> None:
        """Raise unless the server answers."""
        await self._client.ping()

    async def erase(self, user_keys: Sequence[str]) -> dict[str, int]:
        """Delete every entry of these shoppers; return how many, by kind of stream."""
        return {
            kind: sum([await self._erase(stream, frozenset(user_keys)) for stream in streams])
            for kind, streams in self._streams.items()
        }

    async def erase_claims(self, event_ids: Sequence[str]) -> int:
        """Delete the claims of events, which shops may have named after their shoppers; return how many there were."""
        # A line of an event with several items has its place behind the id; the claim has not.
        claimed = sorted({name for event_id in event_ids for name in (event_id, LINE.sub("", event_id))})
        removed = 0
        for start in range(0, len(claimed), PAGE):
            page = claimed[start : start + PAGE]
            removed += int(await self._client.delete(*(self._keys.claim(event_id) for event_id in page)))
        return removed

    async def _erase(self, stream: str, user_keys: frozenset[str]) -> int:
        # How a key stands in a payload: a quick look that spares parsing every entry.
        needles = [b'"user_key":' + orjson.dumps(key) for key in user_keys]
        removed, after = 0, b"-"
        while True:
            entries: Any = await self._client.xrange(stream, min=after, count=PAGE)
            found = [
                entry_id
                for entry_id, fields in entries
                if any(needle in fields.get(PAYLOAD, b"") for needle in needles)
                and _is_theirs(fields[PAYLOAD], user_keys)
            ]
            if found:
                await self._client.xack(stream, GROUP, *found)
                removed += int(await self._client.xdel(stream, *found))
            if len(entries) < PAGE:
                return removed
            after = b"(" + entries[-1][0]


def _is_theirs(payload: bytes, user_keys: frozenset[str]) -> bool:
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return True
    lines = document if isinstance(document, list) else [document]
    return any(line.get("user_key") in user_keys for line in lines if isinstance(line, dict))
