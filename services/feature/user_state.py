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
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import structlog

from services.feature.shopper_history import ShopperHistory
from shared.contracts.internal import Profile, UserState
from shared.features.catalogue import Catalogue
from shared.features.user import user_features
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.resilience.concurrency_limit import SaturatedError
from shared.storage.history import HistoryEvent, in_order
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.redis.user_state import OnlineState, new_version
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS

REBUILD_TRIES = 3

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


class OnlineStates(Protocol):
    """shared.storage.redis.user_state.OnlineStateReader."""

    async def read(self, user_key: str) -> OnlineState | None:
        """Return the state if it is complete."""
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
        self, online: OnlineStates, histories: Histories, catalogue: Callable[[], Catalogue], breaker: CircuitBreaker
    ) -> None:
        self._online = online
        self._histories = histories
        self._catalogue = catalogue
        self._breaker = breaker
        self._rebuilding: dict[str, asyncio.Task[Known]] = {}

    async def state(self, user_key: str, as_of_ms: int) -> tuple[UserState, Origin]:
        """Return what is known strictly before a moment, and from where; of somebody unknown, an empty state."""
        known = await self._known(user_key)
        online = known.online
        if not online.profile.personalisation:
            hidden = Profile(personalisation=False)
            return UserState(user_key=user_key, version=online.version, as_of_ms=as_of_ms, profile=hidden), known.origin
        events = online.events.before(as_of_ms)
        catalogue = self._catalogue()
        features = user_features(events.window(catalogue.row_of), catalogue, as_of_ms)
        state = UserState.model_construct(
            user_key=user_key,
            version=online.version,
            as_of_ms=as_of_ms,
            events=events.packed(),
            profile=online.profile,
            features=features.as_dict(),
            category_preference=dict(features.category_preference),
            brand_preference=dict(features.brand_preference),
        )
        return state, known.origin

    async def _known(self, user_key: str) -> Known:
        if self._breaker.allow():
            try:
                with self._breaker.attempt(*STORE_ERRORS):
                    online = await self._online.read(user_key)
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
            version = await self._online.version(user_key)
            history = await self._history(user_key)
            if await self._online.rebuild(user_key, version, history.events, history.profile):
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
