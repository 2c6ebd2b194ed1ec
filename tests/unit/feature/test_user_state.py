"""The read side of the online state, against stores in memory."""

import asyncio
from collections.abc import Sequence

import pytest

from services.feature.shopper_history import READS, ShopperHistory
from services.feature.user_state import Origin, StateUnavailableError, UserStates
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import WINDOW_SIZE, Profile
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.features.shopper_events import unpacked
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.resilience.concurrency_limit import SaturatedError
from shared.storage.history import HistoryEvent, in_order
from shared.storage.redis.user_state import OnlineState

VIEW, PURCHASE = EVENT_TYPE_CODES[EventType.VIEW], EVENT_TYPE_CODES[EventType.PURCHASE]
NOW_MS = 1_790_000_000_000


def purchase(event_id: str, at_ms: int, item_id: str = "cup", price: float | None = None) -> HistoryEvent:
    return HistoryEvent(at_ms, event_id, PURCHASE, item_id, price, 1.0)


class FakeOnline:
    """Online states in memory; `races` writes of the worker come between a rebuild's read and its write."""

    def __init__(self) -> None:
        self.states: dict[str, OnlineState] = {}
        self.number = 0
        self.races = 0
        self.down = False
        self.reads = 0

    async def read(self, user_key: str) -> OnlineState | None:
        self.reads += 1
        await asyncio.sleep(0)
        if self.down:
            raise ConnectionError
        return self.states.get(user_key)

    async def read_many(self, user_keys: Sequence[str]) -> list[OnlineState | None]:
        return [await self.read(user_key) for user_key in user_keys]

    async def version(self, user_key: str) -> str:
        return str(self.number)

    async def rebuild(self, user_key: str, version_seen: str, events: list[HistoryEvent], profile: Profile) -> bool:
        if self.races:
            self.races -= 1
            self.number += 1
        if version_seen != str(self.number):
            return False
        self.states[user_key] = OnlineState(version_seen, in_order(events), profile)
        return True


class FakeHistories:
    """Postgres in memory."""

    def __init__(self, events: list[HistoryEvent] | None = None, profile: Profile | None = None) -> None:
        self.history = ShopperHistory(events or [], profile or Profile())
        self.reads = 0
        self.error: Exception | None = None

    async def read(self, user_key: str) -> ShopperHistory:
        self.reads += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.history


def states_of(online: FakeOnline, histories: FakeHistories) -> UserStates:
    catalogue = Catalogue([CatalogueItem("cup", categories=("Kitchen", "Cups"), brand="B", price=10.0)])
    return UserStates(online, histories, lambda: catalogue, CircuitBreaker())


async def test_missing_state_is_rebuilt_and_then_read_online() -> None:
    online, histories = FakeOnline(), FakeHistories([purchase("a", NOW_MS - 1)], Profile(age_band="25-34"))
    states = states_of(online, histories)
    first, origin = await states.state("u:1", NOW_MS)
    second, origin_again = await states.state("u:1", NOW_MS)
    assert (origin, origin_again, histories.reads) == (Origin.REBUILT, Origin.ONLINE, 1)
    assert first == second
    assert first.features["purchase_count"] == 1.0
    assert (first.category_preference, first.brand_preference) == ({"Kitchen": 1.0}, {"B": 1.0})
    assert first.profile.age_band == "25-34"


async def test_only_events_strictly_before_the_moment_count() -> None:
    events = [purchase("a", NOW_MS - 1), purchase("b", NOW_MS), purchase("c", NOW_MS + 1)]
    state, _ = await states_of(FakeOnline(), FakeHistories(events)).state("u:1", NOW_MS)
    assert unpacked(state.events).at_ms_E.tolist() == [NOW_MS - 1]
    assert state.features["purchase_count"] == 1.0


async def test_no_more_than_the_window_is_seen_and_its_newest_part() -> None:
    events = [purchase(f"{number:04}", NOW_MS - 1000 + number) for number in range(WINDOW_SIZE + 30)]
    state, _ = await states_of(FakeOnline(), FakeHistories(events)).state("u:1", NOW_MS)
    assert unpacked(state.events).at_ms_E.tolist() == [event.at_ms for event in events[30:]]


async def test_a_rebuild_that_meets_a_new_event_is_begun_again() -> None:
    online, histories = FakeOnline(), FakeHistories([purchase("a", 1)])
    online.races = 2
    state, _ = await states_of(online, histories).state("u:1", NOW_MS)
    assert (histories.reads, state.version) == (3, "2")


async def test_a_rebuild_that_always_meets_a_new_event_answers_under_a_version_that_is_over() -> None:
    online, histories = FakeOnline(), FakeHistories([purchase("a", 1)])
    online.races = 100
    state, _ = await states_of(online, histories).state("u:1", NOW_MS)
    assert unpacked(state.events).item_id == ["cup"]
    assert state.version != await online.version("u:1")
    assert online.states == {}


async def test_many_readers_of_one_missing_state_rebuild_it_once() -> None:
    online, histories = FakeOnline(), FakeHistories([purchase("a", 1)])
    states = states_of(online, histories)
    found = await asyncio.gather(*(states.state("u:1", NOW_MS) for _ in range(20)))
    assert histories.reads == 1
    assert all(unpacked(state.events).item_id == ["cup"] for state, _ in found)


async def test_without_the_cache_the_database_answers_and_soon_the_cache_is_not_even_asked() -> None:
    online, histories = FakeOnline(), FakeHistories([purchase("a", 1)])
    online.down = True
    states = states_of(online, histories)
    found = [await states.state("u:1", NOW_MS) for _ in range(30)]
    assert {origin for _, origin in found} == {Origin.DATABASE}
    assert len({state.version for state, _ in found}) == 30, "no list made of one is fresh"
    assert online.reads < 20


@pytest.mark.parametrize("error", [SaturatedError("all slots taken")])
async def test_without_both_stores_the_state_is_unavailable(error: Exception) -> None:
    online, histories = FakeOnline(), FakeHistories()
    histories.error = error
    with pytest.raises(StateUnavailableError):
        await states_of(online, histories).state("u:1", NOW_MS)
    histories.error = None
    assert unpacked((await states_of(online, histories).state("u:1", NOW_MS))[0].events).item_id == []


async def test_without_consent_neither_events_nor_profile_leave() -> None:
    histories = FakeHistories([purchase("a", 1)], Profile(age_band="25-34", personalisation=False))
    state, _ = await states_of(FakeOnline(), histories).state("u:1", NOW_MS)
    assert (unpacked(state.events).item_id, state.features, state.category_preference) == ([], {}, {})
    assert state.profile == Profile(personalisation=False)


async def test_somebody_unknown_has_an_empty_state() -> None:
    state, _ = await states_of(FakeOnline(), FakeHistories()).state("u:nobody", NOW_MS)
    assert (unpacked(state.events).item_id, state.profile) == ([], Profile())
    assert state.features["purchase_count"] == 0.0


async def test_many_shoppers_are_seen_as_each_alone_and_those_missing_are_rebuilt() -> None:
    online, histories = FakeOnline(), FakeHistories([purchase("a", NOW_MS - 1)], Profile(age_band="25-34"))
    online.states["u:quiet"] = OnlineState("7", in_order([purchase("b", NOW_MS - 2)]), Profile(personalisation=False))
    states = states_of(online, histories)
    user_keys = [f"u:{number}" for number in range(2 * READS + 1)] + ["u:quiet"]
    seen = await states.seen(user_keys, NOW_MS)
    assert histories.reads == 2 * READS + 1
    for user_key, one in zip(user_keys, seen, strict=True):
        alone, _ = await states.state(user_key, NOW_MS)
        assert (alone.version, alone.events, alone.profile) == (one.version, one.events.packed(), one.profile)
        assert one.window.at_ms_E.tolist() == one.events.at_ms_E.tolist()
    assert [len(one.window) for one in seen[-2:]] == [1, 0]
    assert seen[0].features["purchase_count"] == 1
