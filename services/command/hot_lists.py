"""Lists of many shoppers made ahead, each as the live path would make it now, kept where the gateway looks first.

Called by   services/command/batch_command.py, in one process for each core
One code    the parts of the live path themselves, without the hops between them: feature's states, ranking's Ranker,
            the gateway's normal form of a request and form of a kept list. So a list from here is the live list
Stale       as any kept list: versions of shopper, model and rules, changed items, the hour of the shop, its own time
Order       the versions are read before the state they are to describe: an event in between makes the list stale
Errors      STORE_ERRORS; StateUnavailableError; MalformedEventsError
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from services.feature.shopper_history import READS
from services.feature.user_state import UserStates
from services.gateway.answer import shaped
from services.gateway.list_store import Keep, keep, made_with
from services.gateway.request_key import NormalRequest, normalise
from services.ranking.rank import Ranker
from services.ranking.serving_model import ServingModel
from shared.contracts.internal import RankReply, RankRequest, UserState
from shared.contracts.recommendation import RecommendRequest
from shared.service.clock import Clock
from shared.storage.redis.recommendation_cache import RecommendationCache, Versions


@dataclass(frozen=True)
class Wanted:
    """Which list each shopper gets: what the shop's page will ask for."""

    num_items: int = 10
    scenario: str | None = None

    def by(self, user_key: str) -> RecommendRequest:
        """Return the request of one shopper."""
        kind, _, name = user_key.partition(":")
        who = {"user_id": name} if kind == "u" else {"visitor_id": name}
        return RecommendRequest(**who, num_items=self.num_items, scenario=self.scenario)


@dataclass(frozen=True)
class _Known:
    """A shopper's request, and what was read for it."""

    normal: NormalRequest
    versions: Versions
    state: UserState


@dataclass(frozen=True)
class HotLists:
    """Makes and keeps lists with one model."""

    states: UserStates
    ranker: Ranker
    model: ServingModel
    cache: RecommendationCache
    clock: Clock
    zone: tzinfo

    async def make(self, user_keys: Sequence[str], wanted: Wanted) -> int:
        """Make and keep a list for each shopper; as many at once as may read Postgres for a state that is cold."""
        for some in _portions(user_keys, READS):
            known = await asyncio.gather(*(self._known(wanted.by(user_key)) for user_key in some))
            await asyncio.gather(*(self._write(self._entry(one)) for one in known))
        return len(user_keys)

    async def _known(self, request: RecommendRequest) -> _Known:
        normal = normalise(request, self.clock.now_ms(), self.zone)
        versions = await self._versions(normal)
        state, _ = await self.states.state(normal.user_key, normal.as_of_ms)
        if versions.user is None:  # nobody had read this shopper's state: reading it made the version
            versions = await self._versions(normal)
            state, _ = await self.states.state(normal.user_key, normal.as_of_ms)
        return _Known(normal, versions, state)

    async def _versions(self, normal: NormalRequest) -> Versions:
        return (await self.cache.read(normal.request_hash, normal.user_key, normal.as_of_ms)).versions

    def _entry(self, known: _Known) -> Keep:
        normal = known.normal
        request = RankRequest(
            state=known.state,
            as_of_ms=normal.as_of_ms,
            num_items=normal.request.num_items,
            scenario=normal.scenario,
            arms=dict(normal.arms),
        )
        reply = self.ranker.rank(self.model, request)
        places = shaped([item.model_dump(mode="json") for item in reply.items], normal.request.return_)
        return keep(normal, made_with(known.versions, reply.rules_version), places, _model(reply), **_rest(reply))

    async def _write(self, entry: Keep) -> None:
        await self.cache.write(entry.request_hash, entry.user_key, entry.content, entry.versions, entry.made_at_ms)


def _model(reply: RankReply) -> dict[str, str]:
    return {"name": reply.model.name, "version": reply.model.version}


def _rest(reply: RankReply) -> dict[str, Any]:
    return {
        "counts": reply.counts.model_dump(mode="json"),
        "cold_start": reply.cold_start,
        "notices": reply.notices,
        "right_until_ms": reply.rules_change_at_ms,
    }


def _portions(user_keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(user_keys), size):
        yield user_keys[start : start + size]
