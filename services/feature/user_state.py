"""What is known of a shopper at one moment: the read side of the online state.

Called by   routes.py (POST /state for the gateway, GET /users/{id}/state for people)
Steps       1. read the online state; missing or incomplete: rebuild it from Postgres
            2. cut it strictly before as_of   3. compute the features with the live catalogue
Rebuild     one at a time for each shopper in this process; written only if the shopper's version is still the one seen
            before Postgres was read, so that an event the worker stores meanwhile is never overwritten
Cache away  the state comes from Postgres alone, under a version nothing else has: no list made of it is fresh
Consent     without personalisation neither events nor profile leave this place
Errors      StateUnavailableError when neither Redis nor Postgres could answer in time
Source      online store and point-in-time read of a feature store (Feast, "Architecture")
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from services.feature.shopper_history import READS, ShopperHistory
from shared.contracts.internal import Profile, UserState
from shared.features.catalogue import Catalogue
from shared.features.events import EMPTY_WINDOW, EventWindow
from shared.features.shopper_events import NO_EVENTS, ShopperEvents
from shared.features.user import NO_FEATURES, UserFeatures, user_features
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.resilience.concurrency_limit import SaturatedError
from shared.resilience.patience import in_time
from shared.storage.history import HistoryEvent, in_order
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.redis.user_state import OnlineState, new_version
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS

REBUILD_TRIES = 3
UNHURRIED_MS = 2_000.0
"""for callers whom no shopper waits for"""

log = structlog.get_logger()


class StateUnavailableError(Exception):
    """Neither store could say what is known of the shopper."""


class Origin(StrEnum):
    """Where a state came from."""

    ONLINE = "online"
    REBUILT = "rebuilt"
    """from Postgres into the online store, by this request"""
    DATABASE = "database"
    """from Postgres alone: the online store is away"""


@dataclass(frozen=True)
class Known:
    """All that is known of a shopper, not yet cut at a moment."""

    online: OnlineState
    origin: Origin


@dataclass(frozen=True)
class Seen:
    """What may be used of a shopper strictly before a moment; without their consent nothing of what they did."""

    version: str
    events: ShopperEvents
    window: EventWindow
    """the same events over the catalogue"""
    features: UserFeatures
    profile: Profile


class OnlineStates(Protocol):
    """shared.storage.redis.user_state.OnlineStateReader."""

    async def read(self, user_key: str) -> OnlineState | None:
        """Return the state if it is complete."""
        ...

    async def read_many(self, user_keys: Sequence[str]) -> list[OnlineState | None]:
        """Return the state of each if it is complete."""
        ...

    async def version(self, user_key: str) -> str:
        """Return the version, made if there is none."""
        ...

    async def rebuild(self, user_key: str, version_seen: str, events: list[HistoryEvent], profile: Profile) -> bool:
        """Write the state unless the version changed."""
        ...


class Histories(Protocol):
    """shopper_history.ShopperHistories."""

    async def read(self, user_key: str) -> ShopperHistory:
        """Return what Postgres holds."""
        ...


class UserStates:
    """The states of all shoppers. Belongs to one event loop."""

    def __init__(
        self,
        online: OnlineStates,
        histories: Histories,
        catalogue: Callable[[], Catalogue],
        breaker: CircuitBreaker,
        timeout_ms: float = UNHURRIED_MS,
    ) -> None:
        """With the time that one call of the online store may take."""
        self._online = online
        self._histories = histories
        self._catalogue = catalogue
        self._breaker = breaker
        self._timeout_ms = timeout_ms
        self._rebuilding: dict[str, asyncio.Task[Known]] = {}

    async def state(self, user_key: str, as_of_ms: int) -> tuple[UserState, Origin]:
        """Return what is known strictly before a moment, and from where; of somebody unknown, an empty state."""
        known = await self._known(user_key)
        seen = self._seen(known.online, as_of_ms)
        version, profile = known.online.version, seen.profile
        if not profile.personalisation:
            return UserState(user_key=user_key, version=version, as_of_ms=as_of_ms, profile=profile), known.origin
        state = UserState.model_construct(
            user_key=user_key,
            version=version,
            as_of_ms=as_of_ms,
            events=seen.events.packed(),
            profile=profile,
            features=seen.features.as_dict(),
            category_preference=dict(seen.features.category_preference),
            brand_preference=dict(seen.features.brand_preference),
        )
        return state, known.origin

    async def seen(self, user_keys: Sequence[str], as_of_ms: int) -> list[Seen]:
        """Return what `state` would of many shoppers, not packed; the online states come in one round trip.

        STORE_ERRORS where the online store is away: what is made of these states could not be kept there either.
        """
        found = zip(user_keys, await self._online.read_many(user_keys), strict=True)
        online_of = {user_key: online for user_key, online in found if online is not None}
        missing = [user_key for user_key in user_keys if user_key not in online_of]
        for some in (missing[start : start + READS] for start in range(0, len(missing), READS)):
            rebuilt = await asyncio.gather(*map(self._rebuilt, some))
            online_of |= {user_key: known.online for user_key, known in zip(some, rebuilt, strict=True)}
        return [self._seen(online_of[user_key], as_of_ms) for user_key in user_keys]

    def _seen(self, online: OnlineState, as_of_ms: int) -> Seen:
        if not online.profile.personalisation:
            return Seen(online.version, NO_EVENTS, EMPTY_WINDOW, NO_FEATURES, Profile(personalisation=False))
        events, catalogue = online.events.before(as_of_ms), self._catalogue()
        window = events.window(catalogue.row_of)
        return Seen(online.version, events, window, user_features(window, catalogue, as_of_ms), online.profile)

    async def _known(self, user_key: str) -> Known:
        if self._breaker.allow():
            try:
                with self._breaker.attempt(*STORE_ERRORS):
                    online = await in_time(self._online.read(user_key), self._timeout_ms)
                return Known(online, Origin.ONLINE) if online is not None else await self._rebuilt(user_key)
            except STORE_ERRORS as error:
                log.warning("online_state_down", error=type(error).__name__)
        history = await self._history(user_key)
        return Known(_online_state(new_version(), history), Origin.DATABASE)

    async def _rebuilt(self, user_key: str) -> Known:
        """Rebuild once, however many requests ask; the one who began it may go away."""
        task = self._rebuilding.get(user_key)
        if task is None:
            task = self._rebuilding[user_key] = asyncio.create_task(self._rebuild(user_key))
            task.add_done_callback(lambda ended: self._end_rebuild(user_key, ended))
        return await asyncio.shield(task)

    def _end_rebuild(self, user_key: str, ended: asyncio.Task[Known]) -> None:
        del self._rebuilding[user_key]
        if not ended.cancelled():
            ended.exception()  # whoever still waits gets it; with nobody waiting it is no news

    async def _rebuild(self, user_key: str) -> Known:
        for _ in range(REBUILD_TRIES):
            version = await in_time(self._online.version(user_key), self._timeout_ms)
            history = await self._history(user_key)
            rebuilt = self._online.rebuild(user_key, version, history.events, history.profile)
            if await in_time(rebuilt, self._timeout_ms):
                break
        # Of a shopper whose every rebuild met a new event: the version is the one seen, so a list made of this state is
        # stale at once, as it should be.
        return Known(_online_state(version, history), Origin.REBUILT)

    async def _history(self, user_key: str) -> ShopperHistory:
        try:
            return await self._histories.read(user_key)
        except (*STORAGE_DOWN_ERRORS, SaturatedError) as error:
            raise StateUnavailableError(type(error).__name__) from error


def _online_state(version: str, history: ShopperHistory) -> OnlineState:
    return OnlineState(version, in_order(history.events), history.profile)
