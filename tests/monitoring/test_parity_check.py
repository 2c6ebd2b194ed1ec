"""The check that the online state says what Postgres says: equal, different, or no answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from services.feature.metrics import FeatureMetrics
from services.feature.parity import ParityCheck
from services.feature.shopper_history import ShopperHistory
from shared.contracts.internal import Profile
from shared.service.metrics import ServiceMetrics
from shared.storage.history import HistoryEvent, in_order
from shared.storage.redis.user_state import OnlineState

VIEW = HistoryEvent(1_000, "a", 1, "shoe", None, 1.0)
CLICK = HistoryEvent(2_000, "b", 2, "hat", 9.5, 1.0)


@dataclass
class Online:
    """Answers one state after the other, the last again and again."""

    answers: list[Sequence[HistoryEvent] | Exception | None]

    async def read(self, user_key: str) -> OnlineState | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else OnlineState("v", in_order(answer), Profile())


@dataclass
class Histories:
    events: list[HistoryEvent] = field(default_factory=lambda: [VIEW, CLICK])

    async def read(self, user_key: str) -> ShopperHistory:
        return ShopperHistory(self.events, Profile())


@pytest.fixture
def metrics() -> Iterator[ServiceMetrics]:
    return ServiceMetrics("feature")


async def results(metrics: ServiceMetrics, online: Online) -> tuple[float | None, float | None]:
    checks = FeatureMetrics(metrics, lambda: 0).parity_checks
    check = ParityCheck(online, Histories(), checks, settle_s=0.0)  # type: ignore[arg-type]
    check.note("u:1")
    await check.check()
    await check.check()  # nobody was noted since
    name = "aisle_feature_parity_checks_total"
    equal, different = (
        metrics.registry.get_sample_value(name, {"result": result}) for result in ("equal", "different")
    )
    return equal, different


async def test_the_same_events_are_equal(metrics: ServiceMetrics) -> None:
    assert await results(metrics, Online([[CLICK, VIEW]])) == (1, 0)


async def test_an_event_that_is_still_on_its_way_makes_no_difference(metrics: ServiceMetrics) -> None:
    assert await results(metrics, Online([[VIEW], [VIEW, CLICK]])) == (1, 0)


async def test_an_event_that_never_arrives_makes_the_states_differ(metrics: ServiceMetrics) -> None:
    assert await results(metrics, Online([[VIEW]])) == (0, 1)


@pytest.mark.parametrize("answer", [None, ConnectionError("away")])
async def test_without_an_online_state_there_is_nothing_to_say(
    metrics: ServiceMetrics, answer: Exception | None
) -> None:
    assert await results(metrics, Online([answer])) == (0, 0)
