"""Which catalogue is ranked over: the live one, else the snapshot, and the live one again as soon as it is there."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.ranking.catalogue_snapshot import CatalogueSnapshot
from services.ranking.catalogue_source import CatalogueSource
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.service.background import running
from tests.tiny_shop import tiny_items

PATIENCE_S = 0.05


@dataclass
class FakeLive:
    """A live catalogue that arrives when a test says so."""

    catalogue: Catalogue = field(default_factory=Catalogue)
    is_loaded: bool = False

    def arrive(self) -> None:
        self.catalogue, self.is_loaded = Catalogue(tiny_items()), True


@pytest.fixture
def snapshot(tmp_path: Path) -> CatalogueSnapshot:
    return CatalogueSnapshot(tmp_path / "ranking" / "catalogue.jsonl")


def test_snapshot_gives_the_items_back(snapshot: CatalogueSnapshot) -> None:
    full = CatalogueItem(
        item_id="7",
        is_integer=True,
        title="Crème brûlée",
        categories=("a", "b"),
        stock=0,
        attributes={"sizes": [1, 2]},
        available_from=datetime(2026, 1, 1, tzinfo=UTC),
    )
    snapshot.write([full, *tiny_items()])
    kept = snapshot.read()
    assert kept is not None
    assert kept.items == [full, *tiny_items()]


@pytest.mark.parametrize("damage", [b"{", b"[]\n", b'{"title": "no id"}\n', b"\xff\n"])
def test_damaged_snapshot_is_none(snapshot: CatalogueSnapshot, damage: bytes) -> None:
    assert snapshot.read() is None
    snapshot.write(tiny_items())
    snapshot.path.write_bytes(damage)
    assert snapshot.read() is None


async def test_live_catalogue_is_taken_when_it_is_there(snapshot: CatalogueSnapshot) -> None:
    live = FakeLive()
    live.arrive()
    source = CatalogueSource(live, snapshot, PATIENCE_S)
    await source.wait()
    assert source.current is live.catalogue


async def test_snapshot_stands_in_until_the_live_catalogue_arrives(snapshot: CatalogueSnapshot) -> None:
    snapshot.write(tiny_items())
    live = FakeLive()
    source = CatalogueSource(live, snapshot, PATIENCE_S)
    await source.wait()
    assert len(source.current) == len(tiny_items())
    assert source.current is not live.catalogue
    live.arrive()
    assert source.current is live.catalogue


async def test_without_a_snapshot_the_live_catalogue_is_waited_for(snapshot: CatalogueSnapshot) -> None:
    live = FakeLive()
    source = CatalogueSource(live, snapshot, PATIENCE_S)
    waiting = asyncio.create_task(source.wait())
    await asyncio.sleep(2 * PATIENCE_S)
    assert not waiting.done()
    live.arrive()
    await asyncio.wait_for(waiting, 5)


async def test_snapshot_is_kept_once_the_catalogue_is_live(snapshot: CatalogueSnapshot) -> None:
    live = FakeLive()
    source = CatalogueSource(live, snapshot, PATIENCE_S)
    async with running(snapshot=source.keep_snapshot), asyncio.timeout(5):
        await asyncio.sleep(PATIENCE_S)
        assert not snapshot.path.exists()
        live.arrive()
        while not snapshot.path.exists():
            await asyncio.sleep(0.01)
    assert len((snapshot.read() or Catalogue()).items) == len(tiny_items())
