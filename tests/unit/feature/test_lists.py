"""The lists' document and the job that keeps it fresh."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

import services.feature.lists as job
from services.feature.lists import ALL, ListsJob, lists_document
from shared.features.catalogue import Catalogue, CatalogueItem
from shared.storage.relational.popularity import ScoredItem
from tests.fakes import FakeClock

NOW_MS = 1_790_000_000_000


def item(number: int, **fields: Any) -> CatalogueItem:
    created_at = datetime(2026, 1, 1 + number % 28, tzinfo=UTC)
    defaults: dict[str, Any] = {"categories": ("Kitchen", "Cups"), "created_at": created_at, "is_integer": True}
    return CatalogueItem(str(number), **defaults | fields)


def ranked(**lists: dict[str | None, list[ScoredItem]]) -> dict[str, dict[str | None, list[ScoredItem]]]:
    return {"popular": {}, "trending": {}, "new": {}, **lists}


def ids(entries: list[dict[str, Any]]) -> list[Any]:
    return [entry["item_id"] for entry in entries]


async def test_items_keep_the_order_of_the_query_and_the_form_of_their_id() -> None:
    catalogue = Catalogue([item(1, title="cup", price=2.5), item(2, is_integer=False)])
    scored = [ScoredItem("2", 7.0), ScoredItem("1", 3.0)]
    document = await lists_document(ranked(popular={None: scored, "Kitchen": scored[:1]}), catalogue, NOW_MS)
    popular = document["lists"]["popular"]
    assert (ids(popular[ALL]), ids(popular["Kitchen"])) == (["2", 1], ["2"])
    assert popular[ALL][1]["item"]["title"] == "cup"
    assert document["made_at_ms"] == NOW_MS
    assert orjson.dumps(document)


async def test_what_cannot_be_sold_any_more_is_left_out() -> None:
    catalogue = Catalogue([item(1, stock=0), item(2, deleted=True), item(3)])
    scored = [ScoredItem(str(number), 1.0) for number in (1, 2, 3, 4)]
    document = await lists_document(ranked(trending={None: scored}), catalogue, NOW_MS)
    assert ids(document["lists"]["trending"][ALL]) == [3]


async def test_a_shop_without_events_has_its_newest_items_as_the_popular_list() -> None:
    catalogue = Catalogue([item(1), item(2), item(3, stock=0), item(4)])
    document = await lists_document(ranked(popular={None: [ScoredItem("1", 5.0)]}), catalogue, NOW_MS)
    popular = document["lists"]["popular"][ALL]
    assert ids(popular) == [1, 4, 2]
    assert [entry["score"] for entry in popular] == [5.0, 0.0, 0.0]


async def test_an_empty_catalogue_gives_empty_lists() -> None:
    document = await lists_document(ranked(), Catalogue(), NOW_MS)
    assert document["lists"] == {name: {ALL: []} for name in ("popular", "trending", "new")}


async def test_of_a_deep_catalogue_the_broad_categories_have_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "CATEGORY_ENTRIES", 5)
    catalogue = Catalogue([item(1), item(2)])
    two = [ScoredItem("1", 2.0), ScoredItem("2", 1.0)]
    by_category: dict[str | None, list[ScoredItem]] = {None: two, "Cups": two, "A": two, "Kitchen": two}
    lists = (await lists_document(ranked(popular=by_category), catalogue, NOW_MS))["lists"]["popular"]
    assert list(lists) == [ALL, "Kitchen", "A"]


async def test_a_category_named_all_does_not_hide_the_list_of_everything() -> None:
    catalogue = Catalogue([item(1), item(2)])
    by_category: dict[str | None, list[ScoredItem]] = {None: [ScoredItem("1", 2.0)], ALL: [ScoredItem("2", 1.0)]}
    lists = (await lists_document(ranked(trending=by_category), catalogue, NOW_MS))["lists"]["trending"]
    assert ids(lists[ALL]) == [1]


class FakeLists:
    """A lists store in memory."""

    def __init__(self) -> None:
        self.blob: bytes | None = None

    async def put(self, lists: bytes) -> None:
        self.blob = lists

    async def get(self) -> bytes | None:
        return self.blob


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count the runs instead of asking a database; sleeping moves no clock."""
    made: list[int] = []

    async def refresh(self: ListsJob) -> None:
        if len(made) == 1:
            made.append(-1)
            raise ConnectionError
        made.append(self._clock.now_ms())
        await self._store.put(orjson.dumps({"made_at_ms": self._clock.now_ms(), "lists": {}}))

    monkeypatch.setattr(ListsJob, "refresh", refresh)
    monkeypatch.setattr(job, "RETRY_S", 0.01)
    return made


async def test_the_job_runs_at_the_start_goes_on_after_a_failure_and_leaves_fresh_lists_of_others(
    runs: list[int],
) -> None:
    store, clock = FakeLists(), FakeClock(NOW_MS)
    subject = ListsJob(None, store, Catalogue, clock, every_s=0.02)  # type: ignore[arg-type]
    task = asyncio.create_task(subject.keep_fresh())
    await asyncio.sleep(0.03)
    assert runs == [NOW_MS]
    clock.advance(1.0)
    await asyncio.sleep(0.1)
    assert runs[:3] == [NOW_MS, -1, NOW_MS + 1000]
    assert len(runs) == 3, "the lists are as fresh as the clock is still"
    task.cancel()
