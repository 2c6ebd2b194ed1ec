"""Lists made ahead, many at once, are the lists that each shopper would get alone."""

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.command.hot_lists import HotLists, Wanted
from services.feature.user_state import UserStates
from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.serving_model import BundleLoader, ServingModel
from shared.contracts.events import EVENT_TYPE_CODES, EventType
from shared.contracts.internal import Profile, RankReply, RankRequest
from shared.features.catalogue import Catalogue
from shared.features.registry import schema_hash
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.metrics import ServiceMetrics
from shared.storage.history import HistoryEvent, in_order
from shared.storage.redis.recommendation_cache import Entry
from shared.storage.redis.user_state import OnlineState
from tests.fakes import FakeClock
from tests.tiny_bundle import publish_tiny
from tests.tiny_shop import HOUR_MS, UNTIL_MS, tiny_items, tiny_log
from tests.unit.feature.test_user_state import FakeHistories, FakeOnline

NOW_MS = UNTIL_MS + 13 * HOUR_MS
SCENARIO = "home"


class FakeListCache:
    """Remembers what is kept."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.writes = 0

    async def rules_version(self) -> str | None:
        """Nobody has said."""
        return None

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep lists."""
        self.writes += 1
        self.entries |= {entry.user_key: entry for entry in entries}


@pytest.fixture
def catalogue() -> Catalogue:
    """Return the tiny shop's catalogue."""
    return Catalogue(tiny_items())


@pytest.fixture
def states(catalogue: Catalogue) -> UserStates:
    """Return the shoppers of the tiny shop, one who did nothing and one who allowed nothing."""
    items, log, online = tiny_items(), tiny_log(), FakeOnline()
    events: dict[str, list[HistoryEvent]] = {"u:nobody": [], "u:quiet": []}
    kind = EVENT_TYPE_CODES[EventType.PURCHASE]
    for number, (user, item, at_ms) in enumerate(zip(log.user_E, log.item_E, log.at_ms_E, strict=True)):
        done = HistoryEvent(int(at_ms), f"{number:06}", kind, items[item].item_id, items[item].price, 1.0)
        events.setdefault(f"u:{user}", []).append(done)
    events["u:quiet"] = events["u:0"]
    for place, (user_key, past) in enumerate(events.items()):
        profile = Profile(age_band=("19-24", "45-54")[place % 2], personalisation=user_key != "u:quiet")
        online.states[user_key] = OnlineState(f"version of {user_key}", in_order(past), profile)
    return UserStates(online, FakeHistories(), lambda: catalogue, CircuitBreaker())


@pytest.fixture
def model(catalogue: Catalogue, tmp_path: Path) -> ServingModel:
    """Return the tiny model over the catalogue that the states are read with."""
    version = publish_tiny(tmp_path / "bundles")
    return BundleLoader(str(tmp_path / "bundles"), tmp_path / "cache", schema_hash(), lambda: catalogue).load(version)


async def live(states: UserStates, model: ServingModel, ranker: Ranker, user_key: str) -> RankReply:
    """Return the list of one shopper, by the way over the wire."""
    state, _ = await states.state(user_key, NOW_MS)
    return ranker.rank(model, RankRequest(state=state, as_of_ms=NOW_MS, num_items=7, scenario=SCENARIO))


def scores(places: Any) -> dict[Any, Any]:
    """Return item → score, in the order of the list."""
    return {place["item_id"]: pytest.approx(place["score"], abs=1e-5) for place in places}


async def test_lists_made_together_are_those_made_alone(states: UserStates, model: ServingModel) -> None:
    cache, ranker = FakeListCache(), Ranker(UTC, RankingMetrics(ServiceMetrics("ranking")))
    lists = HotLists(states, ranker, model, cache, FakeClock(NOW_MS), UTC, together=16)
    user_keys = ["u:nobody", *(f"u:{user}" for user in range(40)), "u:quiet"]
    assert await lists.make(user_keys, Wanted(num_items=7, scenario=SCENARIO)) == 42
    assert (len(cache.entries), cache.writes) == (42, 3)
    for user_key in user_keys:
        alone, kept = await live(states, model, ranker, user_key), orjson.loads(cache.entries[user_key].body)
        assert [*scores(kept["items"])] == [item.item_id for item in alone.items]
        assert scores(kept["items"]) == {item.item_id: item.score for item in alone.items}
        assert kept["counts"] == alone.counts.model_dump(mode="json")
        assert kept["cold_start"] == alone.cold_start == (user_key in ("u:nobody", "u:quiet"))
        assert cache.entries[user_key].versions.user == f"version of {user_key}"
    assert len({tuple(scores(orjson.loads(entry.body)["items"])) for entry in cache.entries.values()}) > 20
