"""The feature service's composition root: settings → clients → use cases → application.

Called by   uvicorn --factory services.feature.main:create_app, or python -m services.feature.main (drains on SIGTERM)
Start       up at once; ready when the catalogue was read, which waits for Postgres and the stream server
Threads     the database is read and written in threads; states have their own (shopper_history.py) and their own
            connections, so that an import or an export cannot hold up a recommendation
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from fastapi import FastAPI

from services.feature.catalogue import ShopCatalogue
from services.feature.erasure_keeper import ErasureKeeper
from services.feature.event_store import EventStore
from services.feature.key_carrier import KeyCarrier
from services.feature.lists import ListsJob
from services.feature.metrics import FeatureMetrics
from services.feature.parity import ParityCheck
from services.feature.routes import (
    Feature,
    account_routes,
    catalogue_routes,
    event_routes,
    privacy_routes,
    state_routes,
)
from services.feature.shopper_history import READS, ShopperHistories
from services.feature.user_state import UserStates
from services.feature.users import Accounts
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.app import Lifespan, create_service_app
from shared.service.background import running
from shared.service.clock import SystemClock
from shared.service.metrics import ServiceMetrics
from shared.service.server import serve
from shared.service.settings import Settings
from shared.storage.live_catalogue import LiveCatalogue
from shared.storage.redis.api_keys import KeyStore
from shared.storage.redis.change_stream import BLOCK_MS, ChangeStream
from shared.storage.redis.clients import async_client, sync_client
from shared.storage.redis.lists_store import ListsStore
from shared.storage.redis.recommendation_cache import RecommendationCache
from shared.storage.redis.stream_erasure import StreamErasure
from shared.storage.redis.tombstones import Tombstones
from shared.storage.redis.user_state import OnlineStateReader, OnlineStateWriter
from shared.storage.relational.engine import make_engine

NAME: Final = "feature"
STATE_STATEMENT_MS = 1_000
WORK_STATEMENT_MS = 60_000
# Six threads of the event loop's executor on two cores, and two exports that keep theirs between chunks.
WORK_CONNECTIONS = 8
STORE_TIMEOUT_S = 2.0
HELD_STATES = 1000
"""of the shoppers who asked last: about 40 kB each of the longest"""
FOLLOW_TIMEOUT_S = BLOCK_MS / 1000 + 2.0


@dataclass(frozen=True)
class Parts:
    """The use cases, and the jobs that run beside the answers."""

    feature: Feature
    lists: ListsJob
    keys: KeyCarrier
    erasures: ErasureKeeper


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; nothing is connected before its lifespan begins."""
    settings = settings or Settings.load()
    metrics = ServiceMetrics(NAME)
    closing = AsyncExitStack()
    parts = compose(settings, metrics, closing)
    feature = parts.feature
    return create_service_app(
        NAME,
        settings,
        ready=feature.live.why_not_loaded,
        lifespan=_lifespan(parts, closing),
        # The state of a shopper before the shopper: both paths begin with /users.
        routers=[
            routes(feature) for routes in (state_routes, event_routes, catalogue_routes, privacy_routes, account_routes)
        ],
        metrics=metrics,
    )


def compose(settings: Settings, metrics: ServiceMetrics, closing: AsyncExitStack) -> Parts:
    """Return the use cases over the real stores; `closing` ends their connections."""
    namespace, clock = settings.namespace, SystemClock()
    state_engine = make_engine(settings.database_url, READS, STATE_STATEMENT_MS)
    engine = make_engine(settings.database_url, WORK_CONNECTIONS, WORK_STATEMENT_MS)
    cache = async_client(settings.redis_cache_url, STORE_TIMEOUT_S)
    stream = async_client(settings.redis_stream_url, STORE_TIMEOUT_S)
    follow = async_client(settings.redis_stream_url, FOLLOW_TIMEOUT_S)
    thread_cache = sync_client(settings.redis_cache_url, STORE_TIMEOUT_S)
    histories = ShopperHistories(state_engine)
    for close in (state_engine.dispose, engine.dispose, histories.close, thread_cache.close):
        closing.callback(close)
    for client in (cache, stream, follow):
        closing.push_async_callback(client.aclose)

    live = LiveCatalogue(engine, ChangeStream(follow, namespace))
    breaker = CircuitBreaker()
    metrics.watch_breaker("online_state", breaker)
    figures = FeatureMetrics(metrics, lambda: len(live.catalogue))
    parity = ParityCheck(OnlineStateReader(cache, namespace), histories, figures.parity_checks)
    tombstones = Tombstones(stream, namespace)
    feature = Feature(
        states=UserStates(
            OnlineStateReader(cache, namespace, HELD_STATES),
            histories,
            lambda: live.catalogue,
            breaker,
            settings.cache_timeout_ms,
        ),
        events=EventStore(engine, OnlineStateWriter(thread_cache, namespace)),
        catalogue=ShopCatalogue(engine, ChangeStream(stream, namespace)),
        accounts=Accounts(
            engine,
            OnlineStateReader(cache, namespace),
            RecommendationCache(cache, namespace),
            StreamErasure(stream, namespace, settings.event_shards),
            tombstones,
        ),
        live=live,
        clock=clock,
        timeout_ms=settings.feature_timeout_ms,
        states_read=figures.states_read,
        parity=parity,
    )
    lists = ListsJob(
        engine, ListsStore(cache, namespace), lambda: live.catalogue, clock, every_s=settings.lists_refresh_s
    )
    keys = KeyCarrier(engine, KeyStore(stream, namespace))
    return Parts(feature, lists, keys, ErasureKeeper(engine, tombstones, feature.accounts, clock))


def _lifespan(parts: Parts, closing: AsyncExitStack) -> Lifespan:
    @asynccontextmanager
    async def run(_app: FastAPI) -> AsyncIterator[None]:
        live = parts.feature.live
        async with closing:
            loading = asyncio.create_task(live.start())

            async def lists() -> None:
                # Lists made of a catalogue not yet read would be empty.
                await asyncio.shield(loading)
                # A large catalogue is there to stay: the garbage collector need not walk it, which takes 0.1 s.
                gc.collect()
                gc.freeze()
                await parts.lists.keep_fresh()

            news, parity = parts.feature.catalogue.tell_what_is_owed, parts.feature.parity.run
            async with running(lists=lists, news=news, parity=parity, keys=parts.keys.run, erasures=parts.erasures.run):
                yield
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await live.stop()

    return run


def main() -> None:
    """Serve until a signal arrives."""
    settings = Settings.load()
    serve(create_app(settings), settings, NAME)


if __name__ == "__main__":
    main()
