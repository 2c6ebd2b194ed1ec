"""Stand-ins for what lies outside of a unit: a clock that stands still, stores in memory, services that answer by rule.

Called by   tests/unit/**, tests/contract/**; integration and end-to-end tests use the real ones
Down        `down = True` makes a store or a service behave as if nobody listened
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.contracts.access import ApiKey, ApiKeys, Scope, digest_of
from shared.contracts.impressions import Impression
from shared.contracts.merchandising import Merchandising
from shared.service.http_client import Reply, ServiceTimeoutError, ServiceUnreachableError, StreamedReply
from shared.storage.redis.change_stream import Change, ChangeKind
from shared.storage.redis.event_stream import StreamEvent, Verdict
from shared.storage.redis.rate_limit import Grant
from shared.storage.redis.recommendation_cache import CachedList, CacheRead, Entry, Versions

START_MS = 1_770_000_000_000


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return epoch milliseconds."""
        return self._now_ms

    def monotonic_s(self) -> float:
        """Return the same clock in seconds."""
        return self._now_ms / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ms += round(seconds * 1000)


@dataclass
class FakeCache:
    """A list cache with the versions a test sets."""

    clock: FakeClock
    ttl_ms: int = 60_000
    rules: str | None = None
    users: dict[str, str] = field(default_factory=dict)
    entries: dict[tuple[str, str], tuple[bytes, Versions, int]] = field(default_factory=dict)
    locked: bool = False
    keeps_nothing: bool = False
    """as while a write is under way"""
    down: bool = False
    delay_s: float = 0.0
    reads: int = 0

    async def read(self, request_hash: str, user_key: str, now_ms: int) -> CacheRead:
        """Look a list up."""
        self.reads += 1
        await asyncio.sleep(self.delay_s)
        self._refuse_when_down()
        versions = Versions(self.users.get(user_key), self.rules)
        entry = self.entries.get((request_hash, user_key))
        if entry is None:
            return CacheRead(None, versions)
        body, made_with, made_at_ms = entry
        fresh = made_with == versions and now_ms < made_at_ms + self.ttl_ms
        return CacheRead(CachedList(body, made_at_ms, fresh), versions)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep lists."""
        self._refuse_when_down()
        for entry in () if self.keeps_nothing else entries:
            self.entries[entry.request_hash, entry.user_key] = (entry.body, entry.versions, entry.made_at_ms)

    async def lock(self, request_hash: str, user_key: str) -> str | None:
        """Return a token unless the test says that somebody else has it."""
        self._refuse_when_down()
        return None if self.locked else "token"

    def _refuse_when_down(self) -> None:
        if self.down:
            raise ConnectionError("cache is down")


@dataclass
class FakeEventLog:
    """An event stream that claims ids like the real one."""

    claims: dict[str, str] = field(default_factory=dict)
    events: list[StreamEvent] = field(default_factory=list)
    down: bool = False

    async def append(self, events: Sequence[StreamEvent]) -> list[Verdict]:
        """Append what is new."""
        if self.down:
            raise ConnectionError("stream is down")
        return [self._append(event) for event in events]

    def _append(self, event: StreamEvent) -> Verdict:
        known = self.claims.setdefault(event.event_id, event.content_hash)
        if known != event.content_hash:
            return "conflict"
        if any(stored.event_id == event.event_id for stored in self.events):
            return "duplicate"
        self.events.append(event)
        return "accepted"


@dataclass
class FakeImpressionLog:
    """An impression stream."""

    impressions: list[Impression] = field(default_factory=list)
    down: bool = False

    async def append(self, impressions: Sequence[Impression]) -> None:
        """Append."""
        if self.down:
            raise ConnectionError("stream is down")
        self.impressions += impressions


@dataclass
class FakeLists:
    """A store of popular lists."""

    blob: bytes | None = None
    down: bool = False

    async def get(self) -> bytes | None:
        """Return the lists."""
        if self.down:
            raise ConnectionError("cache is down")
        return self.blob


@dataclass
class FakeKeys:
    """Where the gateway finds API keys."""

    keys: ApiKeys | None = None
    down: bool = False

    async def get(self) -> ApiKeys | None:
        """Return the keys."""
        if self.down:
            raise ConnectionError("stream is down")
        return self.keys

    def issue(self, key: str, *scopes: Scope, **limits: Any) -> None:
        """Add a key that may be used."""
        known = self.keys.keys if self.keys is not None else []
        added = ApiKey(digest=digest_of(key.encode()), scopes=frozenset(scopes), **limits)
        self.keys = ApiKeys(issued=True, keys=[*known, added])


@dataclass
class FakeRules:
    """Where the gateway finds the merchandising rules."""

    merchandising: Merchandising | None = None

    async def get(self) -> Merchandising | None:
        """Return the rules."""
        return self.merchandising


@dataclass
class FakeRates:
    """The rates that gateways share: what is in a bucket, for ever."""

    tokens: int = 1_000_000
    down: bool = False
    delay_s: float = 0.0
    asked: int = 0

    async def take(self, key_id: str, rate_per_s: float, capacity: float, wanted: int) -> Grant:
        """Take tokens."""
        self.asked += 1
        await asyncio.sleep(self.delay_s)
        if self.down:
            raise ConnectionError("cache is down")
        granted = max(0, min(wanted, self.tokens))
        self.tokens -= granted
        return Grant(granted, 0.0 if granted else (1 - self.tokens) / rate_per_s)

    async def owe(self, key_id: str, rate_per_s: float, capacity: float, number: int) -> Grant:
        """Take tokens that may be missing."""
        if self.down:
            raise ConnectionError("cache is down")
        self.tokens -= number
        return Grant(number, 0.0)


class FakeChanges:
    """A change stream fed by the test."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Change] = asyncio.Queue()
        self.down = False
        self._number = 0

    async def last_id(self) -> str:
        """Return the place of the newest change."""
        if self.down:
            raise ConnectionError("stream is down")
        return "0-0"

    async def tail(self, after_id: str) -> AsyncIterator[Change]:
        """Yield what the test puts in."""
        while True:
            yield await self.queue.get()

    def model(self, at_ms: int, version: str) -> None:
        """Tell of a published model."""
        self._number += 1
        self.queue.put_nowait(Change(f"{at_ms}-{self._number}", ChangeKind.MODEL, {"version": version}))

    def rules(self, at_ms: int) -> None:
        """Tell of changed merchandising rules."""
        self._number += 1
        self.queue.put_nowait(Change(f"{at_ms}-{self._number}", ChangeKind.RULES, {"version": "r"}))

    def keys(self, at_ms: int) -> None:
        """Tell of API keys made or revoked."""
        self._number += 1
        self.queue.put_nowait(Change(f"{at_ms}-{self._number}", ChangeKind.KEYS, {}))

    def item(self, at_ms: int, **item: Any) -> None:
        """Tell of a changed item."""
        self._number += 1
        self.queue.put_nowait(Change(f"{at_ms}-{self._number}", ChangeKind.ITEM, {"seq": self._number, "item": item}))


Rule = Callable[[bytes | None], Awaitable[Reply] | Reply]


class FakeService:
    """Another service: answers by (method, path), remembers what it was asked."""

    def __init__(self) -> None:
        self.rules: dict[tuple[str, str], Rule] = {}
        self.calls: dict[tuple[str, str], list[bytes | None]] = defaultdict(list)
        self.down = False
        self.late = False

    def on(self, method: str, path: str, rule: Rule) -> None:
        """Answer calls of one kind."""
        self.rules[method, path] = rule

    async def send(self, method: str, path: str, body: bytes | None, timeout_ms: float) -> Reply:
        """Answer, or fail as told."""
        self.calls[method, path].append(body)
        if self.down:
            raise ServiceUnreachableError("ClientConnectorError")
        if self.late:
            raise ServiceTimeoutError("no answer")
        rule = self.rules.get((method, path))
        if rule is None:
            return json_of({"code": "not_found"}, 404)
        outcome = rule(body)
        return outcome if isinstance(outcome, Reply) else await outcome

    @asynccontextmanager
    async def stream(self, method: str, path: str, timeout_ms: float) -> AsyncIterator[StreamedReply]:
        """Answer in two chunks."""
        reply = await self.send(method, path, None, timeout_ms)

        async def chunks() -> AsyncIterator[bytes]:
            middle = len(reply.body) // 2
            yield reply.body[:middle]
            yield reply.body[middle:]

        yield StreamedReply(reply.status, reply.content_type, chunks())

    def number_of(self, method: str, path: str) -> int:
        """Return how often it was called."""
        return len(self.calls[method, path])


def json_of(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return a JSON answer."""
    return Reply(status, orjson.dumps(document), "application/json", headers or {})
