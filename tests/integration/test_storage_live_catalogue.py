"""A process's catalogue follows every change, in whatever order it is told, and catches up after a lost stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from shared.features.catalogue import CatalogueItem
from shared.storage.item_json import item_from_json, item_to_json
from shared.storage.live_catalogue import LiveCatalogue
from shared.storage.redis.change_stream import ChangeKind, ChangeStream
from shared.storage.redis.clients import AsyncRedis, async_client
from shared.storage.relational.catalogue import SequencedItem, delete_item, patch_item, upsert_items
from tests.integration.test_storage_catalogue import SHOE


@pytest.fixture
async def stream(stream_url: str) -> AsyncIterator[AsyncRedis]:
    async with async_client(stream_url, timeout_s=5) as client:
        yield client


@pytest.fixture
async def live(engine: Engine, stream: AsyncRedis) -> AsyncIterator[LiveCatalogue]:
    write(engine, SHOE)
    live = LiveCatalogue(engine, ChangeStream(stream, "shop"))
    assert not live.is_loaded
    await live.start(timeout_s=10)
    yield live
    await live.stop()


def write(engine: Engine, *items: CatalogueItem) -> list[SequencedItem]:
    with engine.begin() as connection:
        return upsert_items(connection, items)


async def tell(stream: AsyncRedis, *changed: SequencedItem | None) -> None:
    bodies = [{"seq": change.seq, "item": item_to_json(change.item)} for change in changed if change is not None]
    await ChangeStream(stream, "shop").publish_many(ChangeKind.ITEM, bodies)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def price(live: LiveCatalogue, item_id: str = "17") -> float | None:
    row = live.catalogue.row_of.get(item_id)
    return None if row is None else live.catalogue.items[row].price


def test_an_item_survives_json() -> None:
    assert item_from_json({**item_to_json(SHOE), "field of a later version": 1}) == SHOE
    assert item_from_json(item_to_json(CatalogueItem("x"))) == CatalogueItem("x")


async def test_changes_and_new_items_are_followed_and_old_news_is_ignored(
    engine: Engine, stream: AsyncRedis, live: LiveCatalogue
) -> None:
    assert price(live) == 9.99
    with engine.begin() as connection:
        cheap, dear = (patch_item(connection, "17", {"price": value}) for value in (5.0, 50.0))
        gone = upsert_items(connection, [replace(SHOE, item_id="18")])
        hidden = delete_item(connection, "18")
    await tell(stream, dear, cheap, *gone, hidden, *write(engine, replace(SHOE, item_id="19", price=1.0)))
    await until(lambda: price(live, "19") == 1.0)

    assert price(live) == 50.0
    assert live.is_loaded
    assert live.catalogue.items[live.catalogue.row_of["18"]].deleted


async def test_a_bulk_change_is_read_from_the_store(engine: Engine, stream: AsyncRedis, live: LiveCatalogue) -> None:
    write(engine, *(replace(SHOE, item_id=f"new{number}") for number in range(50)))
    await ChangeStream(stream, "shop").publish(ChangeKind.CATALOGUE, {})

    await until(lambda: len(live.catalogue) == 51)


async def test_what_changed_while_the_stream_was_lost_is_caught_up(
    engine: Engine, stream: AsyncRedis, live: LiveCatalogue
) -> None:
    write(engine, replace(SHOE, price=3.0))  # and nobody is told
    blocked = [client["id"] for client in await stream.client_list() if client["cmd"] == "xread"]
    assert blocked
    for client_id in blocked:
        await stream.client_kill_filter(_id=client_id)

    await until(lambda: price(live) == 3.0)


async def test_starting_without_stores_waits_and_then_says_so(engine: Engine, unused_port: Callable[[], int]) -> None:
    async with async_client(f"redis://127.0.0.1:{unused_port()}/0") as nobody:
        live = LiveCatalogue(engine, ChangeStream(nobody, "shop"))
        with pytest.raises(TimeoutError):
            await live.start(timeout_s=0.3)
        await live.stop()
