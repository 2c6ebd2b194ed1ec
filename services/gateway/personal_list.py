"""Make one shopper's list live: their state, held since a moment ago or else from feature, then the ranking.

Called by   services/gateway/recommend.py
Out         LiveList; without feature it is made of the request's own session, cart and item, and says so
Errors      LiveFailedError with the reason the answer will carry
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.gateway.clients import FeatureClient, Ranked, RankingClient
from services.gateway.dependency import DependencyBusyError, DependencyError, DependencyLateError
from services.gateway.held_states import HeldStates
from services.gateway.metrics import GatewayMetrics
from services.gateway.request_key import NormalRequest
from services.gateway.serving_model import ServingModel
from shared.contracts.recommendation import DegradedReason
from shared.resilience.deadline import Deadline


@dataclass(frozen=True)
class Budgets:
    """How long each step of a request may take; the sum leaves room within the deadline for the gateway itself."""

    deadline_ms: float
    cache_ms: float
    feature_ms: float
    ranking_ms: float

    def of(self, timeout_ms: float | None) -> "Budgets":
        """Return the budgets of a request; one that allows more time gives each step more of it."""
        if timeout_ms is None:
            return self
        stretch = max(1.0, timeout_ms / self.deadline_ms)
        return Budgets(timeout_ms, self.cache_ms, self.feature_ms * stretch, self.ranking_ms * stretch)


@dataclass(frozen=True)
class LiveList:
    """A list just made."""

    items: list[dict[str, Any]]
    model: Mapping[str, str]
    counts: Mapping[str, Any]
    reason: DegradedReason
    took_ms: Mapping[str, float]
    notices: Sequence[str]
    rules_version: str | None
    state_version: str | None
    right_until_ms: int | None
    """when a dated rule of the shop begins or ends"""

    @property
    def degraded(self) -> bool:
        """Return whether the list is less than it could be."""
        return self.reason is DegradedReason.FEATURE_UNAVAILABLE

    @property
    def knows_nothing(self) -> bool:
        """Return whether ranking found no item at all, before any rule removed one."""
        return self.counts["retrieved"] == 0 and not self.counts["removed"]


class LiveFailedError(Exception):
    """There is no live list; `reason` says why."""

    def __init__(self, reason: DegradedReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class PersonalList:
    """The live path."""

    def __init__(
        self, feature: FeatureClient, ranking: RankingClient, model: ServingModel, metrics: GatewayMetrics
    ) -> None:
        self._feature = feature
        self._ranking = ranking
        self._model = model
        self._metrics = metrics
        self._held = HeldStates()

    async def make(self, normal: NormalRequest, version: str | None, budgets: Budgets, deadline: Deadline) -> LiveList:
        """Return the list, or raise LiveFailedError; `version`: the shopper's now, None where nobody said."""
        state = await self._state(normal, version, budgets, deadline)
        ranked = await self._rank(normal, state, budgets, deadline)
        self._model.saw(ranked.reply.model.version)
        return _live_list(ranked, state is not None, normal)

    async def _state(
        self, normal: NormalRequest, version: str | None, budgets: Budgets, deadline: Deadline
    ) -> bytes | None:
        held = self._held.of(normal.user_key, version, normal.as_of_ms)
        if held is not None:
            return held.body
        with self._metrics.stage("feature"):
            try:
                state = await self._feature.state(normal.user_key, normal.as_of_ms, deadline, budgets.feature_ms)
            except DependencyError:
                return None
        self._held.hold(normal.user_key, state, normal.as_of_ms)
        return state.body

    async def _rank(self, normal: NormalRequest, state: bytes | None, budgets: Budgets, deadline: Deadline) -> Ranked:
        with self._metrics.stage("ranking"):
            try:
                return await self._ranking.rank(normal.rank_body(state), deadline, budgets.ranking_ms)
            except DependencyLateError as error:
                raise LiveFailedError(DegradedReason.RANKING_TIMEOUT) from error
            except DependencyBusyError as error:
                raise LiveFailedError(DegradedReason.OVERLOAD) from error
            except DependencyError as error:
                raise LiveFailedError(DegradedReason.RANKING_UNAVAILABLE) from error


def _live_list(ranked: Ranked, has_state: bool, normal: NormalRequest) -> LiveList:
    reply, document = ranked.reply, ranked.document
    reason = DegradedReason.COLD_START if reply.cold_start else DegradedReason.NONE
    if not has_state:
        reason = DegradedReason.FEATURE_UNAVAILABLE
    return LiveList(
        items=document["items"][: normal.request.num_items],
        model={"name": reply.model.name, "version": reply.model.version},
        counts={"retrieved": reply.counts.retrieved, "removed": reply.counts.removed, "ranked": reply.counts.ranked},
        reason=reason,
        took_ms=reply.took_ms,
        notices=reply.notices,
        rules_version=reply.rules_version,
        state_version=reply.state_version,
        right_until_ms=reply.rules_change_at_ms,
    )
