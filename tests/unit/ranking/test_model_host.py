"""Which model serves: swaps, refusals, back-off, and starts without a registry."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from services.ranking.last_served import LastServed
from services.ranking.metrics import RankingMetrics
from services.ranking.model_host import ModelHost, NoModelError, RegistryAwayError
from services.ranking.serving_model import ModelRefusedError, ServingModel
from shared.models.bundle import BundleFacts
from shared.service.background import running

POLL_S = 2.0


@dataclass
class FakePointer:
    """A registry that a test writes; "away" raises."""

    version: str | None = None

    def read(self) -> str | None:
        if self.version == "away":
            raise RegistryAwayError("no connection")
        return self.version


@dataclass
class FakeRecommender:
    version: str


@dataclass
class FakeLoader:
    """Loads any version but those a test calls broken."""

    broken: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    catalogue: object = "snapshot"

    def load(self, version: str) -> ServingModel:
        self.asked.append(version)
        if version in self.broken:
            raise self.broken[version]
        facts = BundleFacts("fake", "", 0, "", {}, {}, {})
        return ServingModel(cast(Any, FakeRecommender(version)), cast(Any, self.catalogue), facts)

    def is_bound(self, model: ServingModel) -> bool:
        return cast(object, model.consumables) is self.catalogue


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s


class House:
    """A host with everything around it faked."""

    def __init__(self, folder: Path, metrics: RankingMetrics) -> None:
        self.pointer, self.loader, self.clock, self.metrics = FakePointer(), FakeLoader(), Clock(), metrics
        self.last_served = LastServed(folder / "ranking" / "last_served.json")
        self.warmed: list[str] = []
        self.host = self.new_host()

    def new_host(self) -> ModelHost:
        return ModelHost(
            self.pointer,
            self.loader,
            self.warm_up,
            self.last_served,
            self.metrics,
            POLL_S,
            self.clock.monotonic_s,
        )

    async def warm_up(self, model: ServingModel) -> None:
        self.warmed.append(model.version)

    async def point_at(self, version: str | None) -> None:
        self.pointer.version = version
        await self.host.look()

    def serving(self) -> str:
        with self.host.borrow() as model:
            return model.version

    def failures(self, reason: str) -> float:
        return self.metrics.load_failures.labels(reason)._value.get()


@pytest.fixture
def house(tmp_path: Path, metrics: RankingMetrics) -> House:
    return House(tmp_path, metrics)


async def test_published_version_is_warmed_and_serves(house: House) -> None:
    await house.point_at("one")
    assert house.serving() == "one"
    assert house.warmed == ["one"]
    assert house.host.why_not_ready() is None
    assert house.last_served.read() == "one"
    assert house.metrics.version.labels("one")._value.get() == 1


async def test_same_version_is_loaded_once(house: House) -> None:
    for _ in range(3):
        await house.point_at("one")
    assert house.loader.asked == ["one"]


async def test_new_version_takes_over_and_an_old_one_can_come_back(house: House) -> None:
    for version in ("one", "two", "one"):
        await house.point_at(version)
        assert house.serving() == version
        assert house.host.loaded == 1


async def test_old_model_is_kept_until_its_last_request_has_ended(house: House) -> None:
    await house.point_at("one")
    with house.host.borrow() as old:
        await house.point_at("two")
        assert house.serving() == "two"
        assert old.version == "one"
        assert house.host.loaded == 2
    assert house.host.loaded == 1


async def test_refused_version_leaves_the_old_one_serving_and_is_counted(house: House) -> None:
    await house.point_at("one")
    house.loader.broken["two"] = ModelRefusedError("corrupt", "a flipped byte")
    await house.point_at("two")
    assert house.serving() == "one"
    assert house.host.why_not_ready() is None
    assert house.failures("corrupt") == 1
    assert house.host.card()["refused"] == {"version": "two", "reason": "corrupt"}
    assert house.last_served.read() == "one"


async def test_loader_that_breaks_in_an_unknown_way_leaves_the_old_one_serving(house: House) -> None:
    await house.point_at("one")
    house.loader.broken["two"] = ZeroDivisionError()
    await house.point_at("two")
    assert house.serving() == "one"
    assert house.failures("unexpected") == 1


async def test_refused_version_is_tried_again_later_and_later(house: House) -> None:
    await house.point_at("one")
    house.loader.broken["two"] = ModelRefusedError("missing", "not there yet")
    tries = []
    for second in range(0, 30, 2):
        house.clock.now_s = 100.0 + second
        before = len(house.loader.asked)
        await house.point_at("two")
        if len(house.loader.asked) > before:
            tries.append(second)
    assert tries == [0, 4, 12, 28]


async def test_version_that_becomes_whole_is_taken(house: House) -> None:
    house.loader.broken["two"] = ModelRefusedError("missing", "not there yet")
    await house.point_at("two")
    assert house.host.why_not_ready() is not None
    house.loader.broken.clear()
    house.clock.now_s += 60
    await house.point_at("two")
    assert house.serving() == "two"
    assert house.host.card()["refused"] is None


async def test_another_version_is_not_held_up_by_a_refused_one(house: House) -> None:
    house.loader.broken["two"] = ModelRefusedError("missing", "not there yet")
    await house.point_at("two")
    await house.point_at("three")
    assert house.serving() == "three"


async def test_registry_that_goes_away_changes_nothing(house: House) -> None:
    await house.point_at("one")
    await house.point_at("away")
    assert house.serving() == "one"


async def test_start_without_the_registry_serves_the_last_version(house: House) -> None:
    await house.point_at("one")
    house.host = house.new_host()
    await house.point_at("away")
    assert house.serving() == "one"


async def test_start_with_a_broken_new_version_serves_the_last_one(house: House) -> None:
    await house.point_at("one")
    house.host = house.new_host()
    house.loader.broken["two"] = ModelRefusedError("schema", "other features")
    await house.point_at("two")
    assert house.serving() == "one"
    before = len(house.loader.asked)
    await house.host.look()
    assert len(house.loader.asked) == before


async def test_first_start_without_the_registry_is_not_ready(house: House) -> None:
    await house.point_at("away")
    assert house.host.why_not_ready() is not None
    with pytest.raises(NoModelError) as none, house.host.borrow():
        pass
    assert none.value.comes


async def test_shop_that_never_published_is_ready_and_says_so(house: House) -> None:
    await house.point_at(None)
    assert house.host.why_not_ready() is None
    with pytest.raises(NoModelError) as none, house.host.borrow():
        pass
    assert not none.value.comes


async def test_damaged_memory_of_the_last_version_is_no_version(house: House) -> None:
    house.last_served.write("one")
    for damage in (b"", b"{", b"[]", b'{"version": 5}'):
        house.last_served.path.write_bytes(damage)
        assert house.last_served.read() is None


async def test_requests_never_fail_while_versions_change(house: House) -> None:
    await house.point_at("one")
    seen: set[str] = set()

    done = asyncio.Event()

    async def ask() -> None:
        while not done.is_set():
            with house.host.borrow() as model:
                seen.add(model.version)
                await asyncio.sleep(0)

    async def change() -> None:
        for number in range(10):
            await house.point_at(f"v{number}")
        done.set()

    await asyncio.gather(ask(), ask(), change())
    assert len(seen) > 1
    assert house.host.loaded == 1


async def test_model_is_bound_anew_when_the_live_catalogue_arrives(house: House) -> None:
    await house.point_at("one")
    house.loader.catalogue = "live"
    await house.point_at("one")
    await house.point_at("one")
    assert house.loader.asked == ["one", "one"]
    assert house.host.loaded == 1
    assert house.metrics.version.labels("one")._value.get() == 1


async def test_host_keeps_looking(house: House) -> None:
    house.pointer.version = "one"
    host = ModelHost(
        house.pointer, house.loader, house.warm_up, house.last_served, house.metrics, 0.01, house.clock.monotonic_s
    )
    async with asyncio.timeout(5), running(models=host.run):
        for version in ("one", "two"):
            house.pointer.version = version
            while house.warmed[-1:] != [version]:
                await asyncio.sleep(0.01)
