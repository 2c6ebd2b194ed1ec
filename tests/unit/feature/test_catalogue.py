"""Items between the shop's form and the stored one, and changes that could not be told at once."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

import services.feature.catalogue as desk
from services.feature.catalogue import ShopCatalogue, catalogue_item, public_item
from shared.contracts.catalogue import Item
from shared.features.catalogue import CatalogueItem
from shared.storage.redis.change_stream import ChangeKind
from shared.storage.relational.catalogue import SequencedItem


def test_an_item_comes_back_as_the_shop_wrote_it() -> None:
    written = {
        "item_id": 17,
        "title": "cup",
        "categories": ["Kitchen", "Cups"],
        "price": 2.5,
        "attributes": {"ml": 200},
    }
    stored = catalogue_item(Item.model_validate(written), is_integer=True)
    shown = orjson.loads(orjson.dumps(public_item(stored)))
    assert stored.item_id == "17"
    assert {name: value for name, value in shown.items() if value is not None} == written


def test_fields_an_item_does_not_say_are_empty_when_stored() -> None:
    stored = catalogue_item(Item.model_validate({"item_id": "x"}), is_integer=False)
    assert stored == CatalogueItem("x")


class FakeChanges:
    """A change stream in memory that may be away."""

    def __init__(self) -> None:
        self.down = False
        self.told: list[tuple[ChangeKind, dict[str, Any]]] = []

    async def publish(self, kind: ChangeKind, body: dict[str, Any]) -> None:
        await self.publish_many(kind, [body])

    async def publish_many(self, kind: ChangeKind, bodies: Sequence[dict[str, Any]]) -> None:
        if self.down:
            raise ConnectionError
        self.told += [(kind, body) for body in bodies]


async def test_a_change_that_could_not_be_told_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "OWED_EVERY_S", 0.005)
    changes = FakeChanges()
    subject = ShopCatalogue(None, changes)  # type: ignore[arg-type]
    job = asyncio.create_task(subject.tell_what_is_owed())
    await asyncio.sleep(0.02)
    assert changes.told == [(ChangeKind.CATALOGUE, {})], "once at the start, for a process killed before this one"
    changes.down = True
    await subject._tell([SequencedItem(1, CatalogueItem("x"))])
    await asyncio.sleep(0.02)
    changes.down = False
    await asyncio.sleep(0.02)
    assert changes.told == [(ChangeKind.CATALOGUE, {})] * 2
    job.cancel()
