"""The cache of lists as the ladder uses it: never waits longer than its budget, never an error.

Called by   services/gateway/recommend.py
Freshness   as the cache says (age; versions of shopper and rules), and only while no item of the list changed and the
            model that made it serves
Kept        a list is kept with the shopper's version read BEFORE it was made and the version of the rules it was made
            with: what changed meanwhile makes it stale at once; so does a dated rule that begins or ends
"""

import asyncio
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
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.redis.recommendation_cache import CachedList, Entry, Versions

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
        metrics.watch_breaker("cache", breaker)

    async def read(self, normal: NormalRequest, deadline: Deadline, timeout_ms: float) -> Look:
        """Return what the cache holds for a request."""
        if not self._breaker.allow():
            self._metrics.count_cache("refused")
            return NOTHING
        with self._metrics.stage("cache"):
            try:
                with self._breaker.attempt(*STORE_ERRORS):
                    async with asyncio.timeout(deadline.cap_ms(timeout_ms) / 1000):
                        found = await self._cache.read(normal.request_hash, normal.user_key, normal.as_of_ms)
            except STORE_ERRORS:
                self._metrics.count_cache("error")
                return NOTHING
        kept = None if found.found is None else self._kept(found.found, found.versions, normal.as_of_ms)
        self._metrics.count_cache("miss" if kept is None else "hit" if kept.fresh else "stale")
        return Look(kept, found.versions)

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


def made_with(read: Versions, rules: str | None) -> Versions:
    """Return the versions of a list: those read before it was made, and of the rules those that ranking obeyed.

    Ranking may be a moment behind the change that was read. Where nobody has said which rules hold, nobody compares.
    """
    return read if read.rules is None else replace(read, rules=rules)


def keep(normal: NormalRequest, versions: Versions, items: Places, model: Mapping[str, Any], **rest: Any) -> Entry:
    """Return the entry for a list just made, with the versions read before it was made."""
    made_with = [versions.user, versions.rules]
    document = {"items": items, "model": model, **rest, "made_with": made_with}
    return Entry(normal.request_hash, normal.user_key, orjson.dumps(document), versions, normal.as_of_ms)
