"""The ranking service's composition root: settings → stores → catalogue, rules → model host → use case → application.

Called by   uvicorn --factory services.ranking.main:create_app, or python -m services.ranking.main (drains on SIGTERM)
Start       up at once; ready when a model is loaded and warm, or when the registry says that none was ever published
Alone       without Postgres it starts with the catalogue, the rules and the model version it kept on disk
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from services.ranking.admission import Admission
from services.ranking.catalogue_snapshot import CatalogueSnapshot
from services.ranking.catalogue_source import CatalogueSource
from services.ranking.gpu import check_device
from services.ranking.last_served import LastServed
from services.ranking.metrics import RankingMetrics
from services.ranking.model_host import ModelHost, WarmUp
from services.ranking.rank import Ranker
from services.ranking.registry import RegistryPointer
from services.ranking.routes import Ranking, make_router
from services.ranking.serving_model import BundleLoader, ServingModel
from services.ranking.warm_up import warm_up
from shared.features.registry import schema_hash
from shared.service.app import Lifespan, create_service_app
from shared.service.background import running
from shared.service.metrics import ServiceMetrics
from shared.service.server import serve
from shared.service.settings import Settings, refuse_settings
from shared.storage.live_catalogue import LiveCatalogue
from shared.storage.live_merchandising import LiveMerchandising
from shared.storage.redis.change_stream import BLOCK_MS, ChangeStream
from shared.storage.redis.clients import async_client
from shared.storage.relational.engine import make_engine

NAME: Final = "ranking"
CONNECTIONS = 3
"""one reads the catalogue, one the registry's pointer, one the rules"""
STATEMENT_MS = 60_000
FOLLOW_TIMEOUT_S = BLOCK_MS / 1000 + 2.0


@dataclass(frozen=True)
class Parts:
    """What the routes call, and what runs beside them."""

    ranking: Ranking
    live: LiveCatalogue
    catalogue: CatalogueSource
    merchandising: LiveMerchandising

    def why_not_ready(self) -> str | None:
        """Return None when requests can be answered, else what is waited for; a model waits for the catalogue."""
        no_model = self.ranking.host.why_not_ready()
        return no_model and (self.live.why_not_loaded() or no_model)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application; nothing is connected before its lifespan begins."""
    settings = settings or Settings.load()
    if wrong := check_device(settings.device):
        refuse_settings([f"AISLE_DEVICE: {wrong}"])
    metrics = ServiceMetrics(NAME)
    closing = AsyncExitStack()
    parts = compose(settings, metrics, closing)
    return create_service_app(
        NAME,
        settings,
        ready=parts.why_not_ready,
        lifespan=_lifespan(parts, closing),
        routers=[make_router(parts.ranking)],
        metrics=metrics,
    )


def compose(settings: Settings, service_metrics: ServiceMetrics, closing: AsyncExitStack) -> Parts:
    """Return the use case over the real stores; `closing` ends their connections."""
    metrics, zone = RankingMetrics(service_metrics), ZoneInfo(settings.timezone)
    engine = make_engine(settings.database_url, CONNECTIONS, STATEMENT_MS)
    follow = async_client(settings.redis_stream_url, FOLLOW_TIMEOUT_S)
    closing.callback(engine.dispose)
    closing.push_async_callback(follow.aclose)
    changes = ChangeStream(follow, settings.namespace)
    live = LiveCatalogue(engine, changes)
    folder = settings.home / NAME
    merchandising = LiveMerchandising(engine, changes, folder / "rules.json")
    catalogue = CatalogueSource(live, CatalogueSnapshot(folder / "catalogue.jsonl"))
    host = ModelHost(
        RegistryPointer(engine),
        BundleLoader(
            settings.bundle_url, folder / "bundles", schema_hash(), lambda: catalogue.current, settings.device
        ),
        _warm_up(zone),
        LastServed(folder / "last_served.json"),
        metrics,
        settings.model_poll_s,
    )
    ranker = Ranker(zone, metrics, merchandising=lambda: merchandising.current)
    ranking = Ranking(ranker, host, Admission(metrics), settings.ranking_timeout_ms)
    return Parts(ranking, live, catalogue, merchandising)


def _warm_up(zone: ZoneInfo) -> WarmUp:
    """Return the warm-up with metrics of its own: made-up requests are not traffic."""
    ranker = Ranker(zone, RankingMetrics(ServiceMetrics(NAME)))

    async def warm(model: ServingModel) -> None:
        await warm_up(ranker, model)

    return warm


def _lifespan(parts: Parts, closing: AsyncExitStack) -> Lifespan:
    async def watch_models() -> None:
        await parts.catalogue.wait()
        await parts.merchandising.known.wait()
        # A large catalogue is there to stay: no pause of the garbage collector for walking it.
        gc.collect()
        gc.freeze()
        await parts.ranking.host.run()

    @asynccontextmanager
    async def run(_app: FastAPI) -> AsyncIterator[None]:
        async with closing:
            loading = asyncio.create_task(parts.live.start())
            async with running(
                models=watch_models, snapshot=parts.catalogue.keep_snapshot, merchandising=parts.merchandising.run
            ):
                yield
            loading.cancel()
            await parts.live.stop()

    return run


def main() -> None:
    """Serve until a signal arrives."""
    settings = Settings.load()
    serve(create_app(settings), settings, NAME)


if __name__ == "__main__":
    main()
