"""Recommend: the way of one request down the ladder, from the best list there is to the one that is always there.

Called by   services/gateway/routes.py (POST /recommend), batch.py (several at once)
Ladder      fresh cached list → live list (feature, then ranking) → stale cached list → popular lists in memory
            → the same from the snapshot file → an empty list; always an answer, always with the reason. Where all
            places for live lists are taken, at once to the popular lists: a look into the cache is work, too
Time        a deadline for the whole, a budget for each step; a step that cannot end in time is not begun
Afterwards  the cached list is written when the answer has gone (after_answer.py), the impression too (showing.py)
Errors      ProblemError 400 for a filter that cannot be parsed; nothing else
"""

from dataclasses import dataclass, field, replace
from datetime import tzinfo

from services.gateway.after_answer import AfterAnswer
from services.gateway.answer import Answer, Places, shaped
from services.gateway.fallback import Fallback, Wanted
from services.gateway.filters import parse_public_filter
from services.gateway.item_changes import ItemChanges
from services.gateway.list_store import NOTHING, KeptList, ListStore, Look, keep, made_with
from services.gateway.personal_list import Budgets, LiveFailedError, LiveList, PersonalList
from services.gateway.request_key import NormalRequest, normalise
from services.gateway.single_flight import SingleFlight
from shared.contracts.recommendation import DegradedReason, RecommendRequest, ServedFrom
from shared.features.filter import Filter
from shared.resilience.adaptive_limit import AdaptiveLimit
from shared.resilience.concurrency_limit import SaturatedError
from shared.resilience.deadline import Deadline
from shared.service.clock import Clock
from shared.storage.redis.recommendation_cache import Entry


@dataclass(frozen=True)
class Rungs:
    """Where lists come from, best first."""

    cache: ListStore
    live: PersonalList
    memory: Fallback
    changes: ItemChanges


@dataclass(frozen=True)
class Ask:
    """One request on its way, with all that the rungs need to know of it."""

    request: RecommendRequest
    normal: NormalRequest
    filter: Filter | None
    budgets: Budgets
    deadline: Deadline


@dataclass
class Recommend:
    """The use case."""

    rungs: Rungs
    places: AdaptiveLimit
    """for the way to a live list, the look into the cache included"""
    budgets: Budgets
    ttl_ms: int
    clock: Clock
    zone: tzinfo
    keeps: AfterAnswer[Entry]
    _flights: SingleFlight[LiveList] = field(default_factory=SingleFlight)

    async def answer(self, request: RecommendRequest) -> Answer:
        """Return the best list that can be had in time."""
        ask, look = self._ask(request), NOTHING
        try:
            with self.places.slot(ask.normal.request_hash):
                look = await self.rungs.cache.read(ask.normal, ask.deadline, ask.budgets.cache_ms)
                if look.kept is not None and look.kept.fresh:
                    return self._kept_answer(ask, look.kept, ServedFrom.CACHE, DegradedReason.NONE)
                if look.kept is not None and look.kept.only_aged and not await self._may_refresh(ask):
                    return self._kept_answer(ask, look.kept, ServedFrom.STALE_CACHE, DegradedReason.NONE)
                live = await self._live(ask, look)
        except SaturatedError:
            return self._lower_rung(ask, None, DegradedReason.OVERLOAD)
        except LiveFailedError as failure:
            return self._lower_rung(ask, look.kept, failure.reason)
        except TimeoutError:
            return self._lower_rung(ask, look.kept, DegradedReason.RANKING_TIMEOUT)
        return self._live_answer(ask, live)

    def _ask(self, request: RecommendRequest) -> Ask:
        parsed = parse_public_filter(request.filter)
        normal = normalise(request, self.clock.now_ms(), self.zone)
        budgets = self.budgets.of(request.timeout_ms)
        return Ask(request, normal, parsed, budgets, Deadline.after(budgets.deadline_ms, self.clock.monotonic_s))

    async def _may_refresh(self, ask: Ask) -> bool:
        return await self.rungs.cache.may_refresh(ask.normal, ask.deadline.cap_ms(ask.budgets.cache_ms))

    async def _live(self, ask: Ask, look: Look) -> LiveList:
        """Make the list, together with whoever asks for the same one now; keep it if nothing was missing."""

        async def make() -> LiveList:
            version = None if look.versions is None else look.versions.user
            live = await self.rungs.live.make(ask.normal, version, ask.budgets, ask.deadline)
            if look.versions is not None and not live.degraded:
                places = shaped(live.items, ask.request.return_)
                cold_start = live.reason is DegradedReason.COLD_START
                versions = made_with(look.versions, live.rules_version, live.state_version)
                rest = {"counts": live.counts, "cold_start": cold_start, "notices": live.notices}
                rest["right_until_ms"] = live.right_until_ms
                entry = keep(ask.normal, versions, places, live.model, **rest)
                self.rungs.cache.remember(entry)
                self.keeps.put(entry)
            return live

        return await self._flights.run(ask.normal.request_hash, make, ask.deadline)

    def _live_answer(self, ask: Ask, live: LiveList) -> Answer:
        places = shaped(live.items, ask.request.return_)
        reason = live.reason
        if not places and live.knows_nothing:
            places = self._popular(ask)
            if places:
                return self._answer(ask, places, self.rungs.memory.rung, DegradedReason.RANKING_UNAVAILABLE)
            reason = DegradedReason.NO_CATALOG
        answer = self._answer(ask, places, ServedFrom.LIVE, reason)
        trace = None if answer.trace is None else {**answer.trace, "ranking_ms": live.took_ms}
        return replace(answer, model=live.model, counts=live.counts, notices=live.notices, trace=trace)

    def _popular(self, ask: Ask) -> Places:
        wanted = Wanted.by(ask.request, ask.filter, ask.normal.scenario)
        return self.rungs.memory.items(wanted, ask.request.return_, ask.normal.as_of_ms)

    def _lower_rung(self, ask: Ask, kept: KeptList | None, reason: DegradedReason) -> Answer:
        if kept is not None and kept.same_rules:
            return self._kept_answer(ask, kept, ServedFrom.STALE_CACHE, reason)
        memory = self.rungs.memory
        if memory.has_nothing:
            reason = DegradedReason.NO_CATALOG
        return self._answer(ask, self._popular(ask), memory.rung, reason)

    def _kept_answer(self, ask: Ask, kept: KeptList, rung: ServedFrom, reason: DegradedReason) -> Answer:
        """Show a list made before, without what can no longer be sold."""
        if reason is DegradedReason.NONE and kept.cold_start:
            reason = DegradedReason.COLD_START
        now_ms = ask.normal.as_of_ms
        places = [place for place in kept.items if self.rungs.changes.is_sellable(str(place["item_id"]), now_ms)]
        answer = self._answer(ask, places, rung, reason)
        return replace(answer, model=kept.model, counts=kept.counts, notices=kept.notices)

    def _answer(self, ask: Ask, places: Places, rung: ServedFrom, reason: DegradedReason) -> Answer:
        trace = {"deadline_left_ms": round(ask.deadline.remaining_ms(), 2)} if ask.request.return_.trace else None
        normal = ask.normal
        return Answer(
            places, normal.scenario, reason, rung, normal.as_of_ms, self.ttl_ms, arms=normal.arms, trace=trace
        )
