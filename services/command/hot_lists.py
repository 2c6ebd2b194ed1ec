"""Lists of many shoppers made ahead, each as the live path would make it now, kept where the gateway looks first.

Called by   services/command/batch_command.py, in one process for each core
One code    the parts of the live path themselves, without the hops between them: feature's states, ranking's Ranker,
            the gateway's normal form of a request and form of a kept list. So a list from here is the live list
Together    the states of a portion are read in one round trip, their histories encoded in one run, their lists kept in
            one round trip; the next portion's states are on their way meanwhile
Stale       as any kept list: versions of shopper and rules, another model, changed items, the hour of the shop, its own
            time
Order       a state is read with its version: an event after that makes the list stale
Errors      STORE_ERRORS; StateUnavailableError
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol

from services.feature.user_state import Seen, UserStates
from services.gateway.answer import shaped
from services.gateway.list_store import keep, made_with
from services.gateway.request_key import NormalRequest, normalise
from services.ranking.rank import Ranker
from services.ranking.serving_model import ServingModel
from services.ranking.shopper import Shopper
from shared.contracts.internal import RankReply, RankRequest
from shared.contracts.recommendation import RecommendRequest
from shared.service.clock import Clock
from shared.storage.redis.recommendation_cache import Entry, Versions

KEPT = ("counts", "cold_start", "notices")
"""of a reply, beside items and model"""
TOGETHER = 64
"""shoppers of one portion; their scores over a catalogue of 100,000 items take 25 MB"""


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


class ListCache(Protocol):
    """shared.storage.redis.recommendation_cache.RecommendationCache."""

    async def rules_version(self) -> str | None:
        """Return the version of the rules that hold now."""
        ...

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep lists."""
        ...


@dataclass(frozen=True)
class _Portion:
    """The requests of some shoppers, and what was read for them."""

    normal: list[NormalRequest]
    seen: list[Seen]


@dataclass(frozen=True)
class HotLists:
    """Makes and keeps lists with one model."""

    states: UserStates
    ranker: Ranker
    model: ServingModel
    cache: ListCache
    clock: Clock
    zone: tzinfo
    together: int = TOGETHER

    async def make(self, user_keys: Sequence[str], wanted: Wanted) -> int:
        """Make and keep a list for each shopper."""
        rules_version = await self.cache.rules_version()
        coming: asyncio.Task[_Portion] | None = None
        for some in [*_portions(user_keys, self.together), None]:
            portion = None if coming is None else await coming
            coming = None if some is None else asyncio.create_task(self._read(some, wanted))
            await asyncio.sleep(0)  # the next read is on its way before this thread counts
            if portion is not None:
                await self.cache.write(self._entries(portion, rules_version))
        return len(user_keys)

    async def _read(self, user_keys: Sequence[str], wanted: Wanted) -> _Portion:
        now_ms = self.clock.now_ms()
        normal = [normalise(wanted.by(user_key), now_ms, self.zone) for user_key in user_keys]
        return _Portion(normal, await self.states.seen(user_keys, now_ms))

    def _entries(self, portion: _Portion, rules_version: str | None) -> list[Entry]:
        request = _request(portion.normal[0])
        replies = self.ranker.rank_together(self.model, request, [_shopper(seen) for seen in portion.seen])
        return [
            _entry(normal, made_with(Versions(seen.version, rules_version), reply.rules_version), reply)
            for normal, seen, reply in zip(portion.normal, portion.seen, replies, strict=True)
        ]


def _request(normal: NormalRequest) -> RankRequest:
    """Return what ranking is asked, the same for every shopper of a portion; they come beside it."""
    return RankRequest(
        state=None,
        as_of_ms=normal.as_of_ms,
        num_items=normal.request.num_items,
        scenario=normal.scenario,
        arms=dict(normal.arms),
    )


def _shopper(seen: Seen) -> Shopper:
    """Return who asks, as ranking makes it of a state that came over the wire."""
    return Shopper(seen.window, seen.features, seen.profile if seen.profile.personalisation else None)


def _entry(normal: NormalRequest, versions: Versions, reply: RankReply) -> Entry:
    told = reply.model_dump(mode="json", include={"items", "model", *KEPT})
    places, rest = shaped(told["items"], normal.request.return_), {name: told[name] for name in KEPT}
    return keep(normal, versions, places, told["model"], right_until_ms=reply.rules_change_at_ms, **rest)


def _portions(user_keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(user_keys), size):
        yield user_keys[start : start + size]
