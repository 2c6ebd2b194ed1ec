"""The feature service while a store is away, and the start and end of its process."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from deploy.local.ports import free_port
from deploy.local.valkey import CACHE, ValkeyServer
from services.feature.main import create_app
from services.feature.shopper_history import ShopperHistories
from services.feature.user_state import Origin, StateUnavailableError, UserStates
from shared.features.catalogue import Catalogue
from shared.features.shopper_events import unpacked
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.settings import Settings
from shared.storage.relational.engine import make_engine
from shared.storage.relational.interactions import insert_once
from tests.asgi_client import call
from tests.integration.ingest_support import NAMESPACE, ROOT, Stores, event, online_states, user_states

FAR_AHEAD_MS = 2**50


@pytest.fixture
def stores(database_url: str, stream_url: str, cache_url: str) -> Stores:
    return Stores(database_url, stream_url, cache_url)


@pytest.fixture
async def app_without_postgres(stream_url: str, cache_url: str) -> AsyncIterator[FastAPI]:
    settings = Settings(
        namespace=NAMESPACE,
        database_url=f"postgresql+psycopg2://x@127.0.0.1:{free_port()}/x",
        redis_stream_url=stream_url,
        redis_cache_url=cache_url,
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


async def test_without_postgres_known_shoppers_keep_their_state_and_others_are_unavailable(
    stores: Stores, engine: Engine
) -> None:
    with engine.begin() as connection:
        insert_once(connection, [event("a")])
    async with user_states(stores, engine) as states:
        await states.state("u:1", FAR_AHEAD_MS)
    dead_engine = make_engine(f"postgresql+psycopg2://x@127.0.0.1:{free_port()}/x")
    histories = ShopperHistories(dead_engine)
    async with online_states(stores) as online:
        states = UserStates(online, histories, Catalogue, CircuitBreaker())
        state, origin = await states.state("u:1", FAR_AHEAD_MS)
        assert (unpacked(state.events).item_id, origin) == (["shoe"], Origin.ONLINE)
        with pytest.raises(StateUnavailableError):
            await states.state("u:2", FAR_AHEAD_MS)
    histories.close()


async def test_a_cache_that_went_and_came_back_empty_is_filled_again_by_the_readers(
    stores: Stores, engine: Engine, store_home: Path
) -> None:
    cache = ValkeyServer("comes-and-goes", store_home, free_port(), CACHE)
    own = Stores(stores.database_url, stores.stream_url, cache.url)
    cache.start()
    with engine.begin() as connection:
        insert_once(connection, [event("a")])
    async with user_states(own, engine) as states:
        assert (await states.state("u:1", FAR_AHEAD_MS))[1] is Origin.REBUILT
        cache.stop()
        without, origin = await states.state("u:1", FAR_AHEAD_MS)
        assert (unpacked(without.events).item_id, origin) == (["shoe"], Origin.DATABASE)
        cache.start()
        again, origin = await states.state("u:1", FAR_AHEAD_MS)
        assert (again.events, origin) == (without.events, Origin.REBUILT)
    cache.stop()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/readyz", None),
        ("POST", "/state", {"user_key": "u:1", "as_of_ms": 1}),
        ("POST", "/items", {"items": [{"item_id": 1}]}),
        ("GET", "/items/1", None),
        ("POST", "/users", {"users": [{"user_id": 1}]}),
        ("DELETE", "/users/1", None),
        ("GET", "/users/1/export", None),
        ("POST", "/events/insert", []),
    ],
)
async def test_without_postgres_what_needs_it_says_come_again_never_a_silent_success(
    app_without_postgres: FastAPI, method: str, path: str, body: object
) -> None:
    answer = await call(app_without_postgres, method, path, body)
    assert (answer.status, answer.document["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_without_the_stream_server_nothing_of_a_shopper_is_erased(
    database_url: str, cache_url: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        insert_once(connection, [event("a")])
    settings = Settings(
        namespace=NAMESPACE,
        database_url=database_url,
        redis_stream_url=f"redis://127.0.0.1:{free_port()}",
        redis_cache_url=cache_url,
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        assert (await call(app, "DELETE", "/users/1")).status == 503
        exported = await call(app, "GET", "/users/1/export")
    assert exported.body.count(b"\n") == 1


def test_the_process_gets_ready_and_ends_with_code_zero_when_told_to(
    stores: Stores, unused_port: Callable[[], int]
) -> None:
    port = unused_port()
    environment = os.environ | {
        "AISLE_NAMESPACE": NAMESPACE,
        "AISLE_DATABASE_URL": stores.database_url,
        "AISLE_REDIS_STREAM_URL": stores.stream_url,
        "AISLE_REDIS_CACHE_URL": stores.cache_url,
        "AISLE_FEATURE_URL": f"http://127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "services.feature.main"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        ends_s = time.monotonic() + 60
        while not is_ready(port):
            assert time.monotonic() < ends_s
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


def is_ready(port: int) -> bool:
    """Return whether the service answers that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
