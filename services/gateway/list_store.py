"""The cache of lists as the ladder uses it: never waits longer than its budget, never an error.

Called by   services/gateway/recommend.py
Freshness   as the cache says (age; versions of shopper and rules), and only while no item of the list changed and the
            model that made it serves
Kept        a list is kept with the versions of the shopper's state and of the rules it was made of: what changed
            meanwhile makes it stale at once; so does a dated rule that begins or ends
Crowds      equal requests of one turn of the loop share a look. One that comes later looks by itself: it may know more
            than they did. Between making and writing, a list is found in this process, under the same versions
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog

from services.gateway.answer import Places
from services.gateway.item_changes import ItemChanges
from services.gateway.metrics import GatewayMetrics
from services.gateway.ports import ListCache
from services.gateway.request_key import NormalRequest
from services.gateway.serving_model import ServingModel
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.resilience.deadline import Deadline
from shared.resilience.patience import in_time
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.redis.recommendation_cache import CachedList, CacheRead, Entry, Versions

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class KeptList:
    """A list out of the cache."""

    items: Places
    model: Mapping[str, Any]
    counts: Mapping[str, Any]
    cold_start: bool
    fresh: bool
    only_aged: bool
    """not fresh, for no other reason than its age"""
    same_rules: bool
    """made under the rules that hold now: else it may show what is hidden now"""
    notices: Sequence[str]


@dataclass(frozen=True)
class Look:
    """What one look into the cache found; versions are None when it did not answer."""

    kept: KeptList | None
    versions: Versions | None


NOTHING = Look(None, None)
LOOKS = 64
"""at once; whoever is one too many goes without. So many are under way only while this process has more to do than it
can, and each would make the others later"""
JUST_MADE = 256
"""lists remembered until they are written"""
JUST_MADE_MS = 500
"""a write takes a few; less than the shortest time for which a list is fresh"""


class ListStore:
    """Reads and writes lists; guarded by a breaker, so that a dead cache costs nothing."""

    def __init__(
        self,
        cache: ListCache,
        breaker: CircuitBreaker,
        changes: ItemChanges,
        model: ServingModel,
        metrics: GatewayMetrics,
    ) -> None:
        self._cache = cache
        self._breaker = breaker
        self._changes = changes
        self._model = model
        self._metrics = metrics
        self._asking: dict[str, asyncio.Task[CacheRead]] = {}
        self._looks = 0
        self._just_made: OrderedDict[str, Entry] = OrderedDict()
        metrics.watch_breaker("cache", breaker)

    async def read(self, normal: NormalRequest, deadline: Deadline, timeout_ms: float) -> Look:
        """Return what the cache holds for a request."""
        asking = self._asking.get(normal.request_hash)
        if asking is None:
            if self._looks >= LOOKS or not self._breaker.allow():
                self._metrics.count_cache("refused")
                return NOTHING
            asking = self._begin_asking(normal, deadline.cap_ms(timeout_ms))
        with self._metrics.stage("cache"):
            try:
                found = await asyncio.shield(asking)
            except STORE_ERRORS:
                self._metrics.count_cache("error")
                return NOTHING
        kept = None if found.found is None else self._kept(found.found, found.versions, normal.as_of_ms)
        if kept is None or not kept.fresh:
            kept = self._remembered(normal, found.versions) or kept
        self._metrics.count_cache("miss" if kept is None else "hit" if kept.fresh else "stale")
        return Look(kept, found.versions)

    def _begin_asking(self, normal: NormalRequest, timeout_ms: float) -> "asyncio.Task[CacheRead]":
        asking = asyncio.create_task(self._ask(normal, timeout_ms))
        self._asking[normal.request_hash] = asking
        self._looks += 1
        asking.add_done_callback(self._end_asking)
        return asking

    def _end_asking(self, asked: "asyncio.Task[CacheRead]") -> None:
        self._looks -= 1
        # Or asyncio reports an error that comes after everybody has left as never retrieved.
        if not asked.cancelled():
            asked.exception()

    async def _ask(self, normal: NormalRequest, timeout_ms: float) -> CacheRead:
        # All requests that have arrived come as far as this before the first look goes out, and its time begins.
        await asyncio.sleep(0)
        del self._asking[normal.request_hash]
        with self._breaker.attempt(*STORE_ERRORS):
            read = self._cache.read(normal.request_hash, normal.user_key, normal.as_of_ms)
            return await in_time(read, timeout_ms)

    def remember(self, entry: Entry) -> None:
        """Know a list that was just made, until the cache does."""
        self._just_made[entry.request_hash] = entry
        self._just_made.move_to_end(entry.request_hash)
        if len(self._just_made) > JUST_MADE:
            self._just_made.popitem(last=False)

    def _remembered(self, normal: NormalRequest, versions: Versions) -> KeptList | None:
        entry = self._just_made.get(normal.request_hash)
        if entry is None or entry.versions != versions or normal.as_of_ms - entry.made_at_ms > JUST_MADE_MS:
            return None
        kept = self._kept(CachedList(entry.body, entry.made_at_ms, fresh=True), versions, normal.as_of_ms)
        return kept if kept is not None and kept.fresh else None

    async def may_refresh(self, normal: NormalRequest, timeout_ms: float) -> bool:
        """Return whether this process should make an aged list anew; False while another one does."""
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._cache.lock(normal.request_hash, normal.user_key) is not None
        except STORE_ERRORS:
            return True

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep lists; called after the answer."""
        await self._cache.write(entries)

    def _kept(self, cached: CachedList, versions: Versions, now_ms: int) -> KeptList | None:
        try:
            document = orjson.loads(cached.body)
            items, made_with, right_until_ms = document["items"], document["made_with"], document["right_until_ms"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None  # written by another version of Aisle
        unchanged = self._changes.unchanged_since((str(place["item_id"]) for place in items), cached.made_at_ms)
        unchanged = unchanged and self._model.made(document["model"]["version"])
        unchanged = unchanged and (right_until_ms is None or now_ms < right_until_ms)
        same_versions = made_with == [versions.user, versions.rules]
        return KeptList(
            items=items,
            model=document["model"],
            counts=document["counts"],
            cold_start=document["cold_start"],
            fresh=cached.fresh and unchanged,
            only_aged=not cached.fresh and same_versions and unchanged,
            same_rules=made_with[1] == versions.rules and (right_until_ms is None or now_ms < right_until_ms),
            notices=document["notices"],
        )


def made_with(read: Versions, rules: str | None, state: str | None = None) -> Versions:
    """Return the versions of a list: those read before it was made, but of rules and state those that ranking used.

    Ranking may be a moment behind the rules that were read. Where nobody has said which rules hold, nobody compares.
    Reading a state may begin it: until then a shopper has no version, and a list kept under none is never fresh.
    """
    obeyed = None if read.rules is None else rules
    return replace(read, rules=obeyed, user=read.user if state is None else state)


def keep(normal: NormalRequest, versions: Versions, items: Places, model: Mapping[str, Any], **rest: Any) -> Entry:
    """Return the entry for a list just made, with the versions it was made with."""
    made_with = [versions.user, versions.rules]
    document = {"items": items, "model": model, **rest, "made_with": made_with}
    return Entry(normal.request_hash, normal.user_key, orjson.dumps(document), versions, normal.as_of_ms)
