"""The gateway's composition root: settings → stores and clients → use cases → application.

Called by   uvicorn --factory services.gateway.main:create_app, or python -m services.gateway.main (drains on SIGTERM)
Start       needs nobody: with every store and service away it is up at once and answers from its snapshot file
Ready       with a list in memory to fall back on, or GRACE_S after the start, when it is as ready as it will be
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware

from services.gateway.access import Access, VersionPrefix, refuse_open_bind
from services.gateway.composition import Outside, Parts, compose
from services.gateway.documentation import with_access
from services.gateway.routes import catalogue_routes, event_routes, recommendation_routes, user_routes
from services.gateway.shedding import Shedding
from shared.service.app import Lifespan, create_service_app
from shared.service.background import running
from shared.service.clock import Clock, SystemClock
from shared.service.http_client import HttpClient
from shared.service.metrics import ServiceMetrics
from shared.service.server import serve
from shared.service.settings import Settings
from shared.storage.redis.api_keys import KeyStore
from shared.storage.redis.change_stream import BLOCK_MS, ChangeStream
from shared.storage.redis.clients import async_client
from shared.storage.redis.event_stream import EventStream
from shared.storage.redis.impression_stream import ImpressionStream
from shared.storage.redis.lists_store import ListsStore
from shared.storage.redis.merchandising_store import MerchandisingStore
from shared.storage.redis.rate_limit import RateBuckets
from shared.storage.redis.recommendation_cache import RecommendationCache

NAME: Final = "gateway"
GRACE_S = 3.0
STREAM_TIMEOUT_S = 2.0
CACHE_TIMEOUT_S = 0.5
FOLLOW_TIMEOUT_S = BLOCK_MS / 1000 + 2.0


def create_app() -> FastAPI:
    """Return the application of this process."""
    settings = Settings.load()
    refuse_open_bind(settings)
    outside, closing = connect(settings)
    return gateway_app(settings, outside, SystemClock(), closing)


def connect(settings: Settings) -> tuple[Outside, AsyncExitStack]:
    """Return the real stores and services, and what closes them; no connection is made yet."""
    closing = AsyncExitStack()
    events = async_client(settings.redis_stream_url, STREAM_TIMEOUT_S)
    follow = async_client(settings.redis_stream_url, FOLLOW_TIMEOUT_S)
    cache = async_client(settings.redis_cache_url, CACHE_TIMEOUT_S)
    for client in (events, follow, cache):
        closing.push_async_callback(client.aclose)
    token = next(iter(settings.internal_tokens()), None)
    feature, ranking = HttpClient(settings.feature_url, token), HttpClient(settings.ranking_url, token)
    for http in (feature, ranking):
        closing.push_async_callback(http.close)
    namespace = settings.namespace
    outside = Outside(
        cache=RecommendationCache(cache, namespace, ttl_s=settings.cache_ttl_s, stale_ttl_s=settings.stale_ttl_s),
        events=EventStream(events, namespace, settings.event_shards),
        impressions=ImpressionStream(events, namespace),
        lists=ListsStore(cache, namespace),
        changes=ChangeStream(follow, namespace),
        keys=KeyStore(events, namespace),
        rules=MerchandisingStore(events, namespace),
        rates=RateBuckets(cache, namespace),
        feature=feature,
        ranking=ranking,
    )
    return outside, closing


def gateway_app(settings: Settings, outside: Outside, clock: Clock, closing: AsyncExitStack) -> FastAPI:
    """Return the application over given stores and services."""
    metrics = ServiceMetrics(NAME)
    parts = compose(settings, outside, clock, metrics)
    started_s = clock.monotonic_s()

    def ready() -> str | None:
        waited = clock.monotonic_s() - started_s > GRACE_S
        return None if waited or not parts.board.current.is_empty else "no list in memory yet"

    gateway = parts.gateway
    middleware = [
        Middleware(VersionPrefix),
        Middleware(Shedding, places=parts.places, beat=parts.beat),
        Middleware(Access, ring=parts.ring, limits=parts.limits, admin_port=settings.admin_port),
    ]
    app = create_service_app(
        NAME,
        settings,
        ready=ready,
        lifespan=_lifespan(parts, closing),
        routers=[route(gateway) for route in (recommendation_routes, event_routes, catalogue_routes, user_routes)],
        metrics=metrics,
        middleware=middleware,
    )
    generate = app.openapi
    app.openapi = lambda: with_access(generate())  # type: ignore[method-assign]  # as in shared/service/openapi.py
    return app


def _lifespan(parts: Parts, closing: AsyncExitStack) -> Lifespan:
    @asynccontextmanager
    async def run(_app: FastAPI) -> AsyncIterator[None]:
        async with closing:
            parts.board.load_snapshot()
            parts.ring.load_snapshot()
            async with running(**parts.jobs):
                yield
            # The last answers' impressions and lists, before the connections go.
            await parts.impressions.flush()
            await parts.keeps.flush()

    return run


def main() -> None:
    """Serve until a signal arrives."""
    settings = Settings.load()
    serve(create_app(), settings, NAME)


if __name__ == "__main__":
    main()
