"""Delete what the stream server still holds of a shopper: entries waiting, done and not yet trimmed, dead; claims.

Called by   services/feature/users.py (erasure), services/feature/ingest.py (what comes late)
Cost        walks the four kinds of streams once; they are trimmed behind the worker, so they are short
Matching    an entry is a shopper's if a line of it has their key; one that cannot be read and names the key goes too
Errors      STORE_ERRORS of clients.py
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from shared.storage.redis.clients import AsyncRedis, SyncRedis
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
        """Delete every entry of these shoppers and the claims of its events; return how many, by kind."""
        removed, event_ids = dict.fromkeys(self._streams, 0), list[str]()
        for kind, streams in self._streams.items():
            for stream in streams:
                payloads = await self._erase(stream, frozenset(user_keys))
                removed[kind] += len(payloads)
                event_ids += [event_id for payload in payloads for event_id in _event_ids(payload)]
        return {**removed, "event_claims": await self.erase_claims(event_ids)}

    async def erase_claims(self, event_ids: Sequence[str]) -> int:
        """Delete the claims of events, which shops may have named after their shoppers; return how many there were."""
        claims = _claims(self._keys, event_ids)
        pages = [claims[start : start + PAGE] for start in range(0, len(claims), PAGE)]
        return sum([int(await self._client.delete(*page)) for page in pages])

    async def _erase(self, stream: str, user_keys: frozenset[str]) -> list[bytes]:
        # How a key stands in a payload: a quick look that spares parsing every entry.
        needles = [b'"user_key":' + orjson.dumps(key) for key in user_keys]
        removed, after = list[bytes](), b"-"
        while True:
            entries: Any = await self._client.xrange(stream, min=after, count=PAGE)
            found = {
                entry_id: fields[PAYLOAD]
                for entry_id, fields in entries
                if any(needle in fields.get(PAYLOAD, b"") for needle in needles)
                and _is_theirs(fields[PAYLOAD], user_keys)
            }
            if found:
                await self._client.xack(stream, GROUP, *found)
                await self._client.xdel(stream, *found)
                removed += found.values()
            if len(entries) < PAGE:
                return removed
            after = b"(" + entries[-1][0]


def forget_claims(client: SyncRedis, namespace: str, event_ids: Sequence[str]) -> None:
    """Delete the claims of events that came too late to be stored; for the ingest worker."""
    client.delete(*_claims(Keys(namespace), event_ids))


def _claims(keys: Keys, event_ids: Sequence[str]) -> list[str]:
    # A line of an event with several items has its place behind the id; the claim has not.
    names = {name for event_id in event_ids for name in (event_id, LINE.sub("", event_id))}
    return [keys.claim(name) for name in sorted(names)]


def _is_theirs(payload: bytes, user_keys: frozenset[str]) -> bool:
    lines = _lines(payload)
    return lines is None or any(line.get("user_key") in user_keys for line in lines)


def _event_ids(payload: bytes) -> list[str]:
    return [str(line["event_id"]) for line in _lines(payload) or [] if "event_id" in line]


def _lines(payload: bytes) -> list[dict[str, Any]] | None:
    """Return the lines of an entry; None if it cannot be read."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return [line for line in (document if isinstance(document, list) else [document]) if isinstance(line, dict)]
