"""The ranking service over real stores, as its tests start, feed and ask it.

Called by   tests/integration/test_ranking_*.py
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fastapi import FastAPI

from services.ranking.main import create_app
from shared.contracts.internal import RankRequest
from shared.features.catalogue import CatalogueItem
from shared.service.settings import Settings
from shared.storage.item_json import item_to_json
from shared.storage.redis.change_stream import ChangeKind, ChangePublisher
from shared.storage.redis.clients import sync_client
from shared.storage.relational import model_registry
from shared.storage.relational.catalogue import upsert_items
from shared.storage.relational.engine import Engine
from shared.storage.relational.model_registry import ModelVersion
from tests.asgi_client import JSON, Answer, call
from tests.tiny_shop import tiny_items

NAMESPACE = "ranking-test"
Found = TypeVar("Found")


@dataclass(frozen=True)
class Shop:
    """One shop's stores: catalogue and registry in Postgres, changes in the stream, bundles in a folder."""

    engine: Engine
    settings: Settings

    @property
    def bundles(self) -> Path:
        """Return the bundle store's folder."""
        return Path(self.settings.bundle_url)

    def write(self, items: Sequence[CatalogueItem]) -> None:
        """Store items and tell everybody, as the feature service does."""
        with self.engine.begin() as connection:
            changed = upsert_items(connection, items)
        client = sync_client(self.settings.redis_stream_url)
        publisher = ChangePublisher(client, NAMESPACE)
        for one in changed:
            publisher.publish(ChangeKind.ITEM, {"seq": one.seq, "item": item_to_json(one.item)})
        client.close()

    def point_at(self, version: str) -> None:
        """Register a version and let the pointer name it."""
        with self.engine.begin() as connection:
            current = model_registry.current(connection)
            url = f"{self.settings.bundle_url}/{version}"
            model_registry.register(connection, ModelVersion(version, url, {}, {}, {}))
            assert model_registry.promote(connection, version, current.version if current else None)


def open_shop(engine: Engine, database_url: str, stream_url: str, home: Path) -> Shop:
    """Return a shop with the tiny catalogue and no model."""
    settings = Settings(
        namespace=NAMESPACE, home=home, database_url=database_url, redis_stream_url=stream_url, model_poll_s=1
    )
    shop = Shop(engine, settings)
    shop.write(tiny_items())
    return shop


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[FastAPI]:
    """Run the service for the length of the block; it may not be ready yet."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


async def rank(app: FastAPI, request: RankRequest) -> Answer:
    """Ask for a list as the gateway does."""
    body = request.model_dump_json(by_alias=False).encode()
    return await call(app, "POST", "/rank", body=body, headers=JSON)


async def served_version(app: FastAPI) -> str | None:
    """Return the version that serves."""
    answer = await call(app, "GET", "/model")
    return str(answer.document["version"]) if answer.status == 200 else None


async def until(ask: Callable[[], Awaitable[Found]], wanted: Callable[[Found], bool], timeout_s: float = 10.0) -> Found:
    """Ask again until the answer is the wanted one."""
    ends_s = time.monotonic() + timeout_s
    while not wanted(found := await ask()):
        assert time.monotonic() < ends_s, f"still {found}"
        await asyncio.sleep(0.02)
    return found


async def until_serves(app: FastAPI, version: str, timeout_s: float = 10.0) -> None:
    """Wait until a version serves."""
    await until(lambda: served_version(app), lambda found: found == version, timeout_s)
