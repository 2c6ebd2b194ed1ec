"""One process of `aisle batch`: its own connections, catalogue, rules and model; then list after list.

Called by   services/command/batch_command.py, in processes that it starts
Errors      NothingServesError; RegistryAwayError, ModelRefusedError; TimeoutError when the catalogue cannot be read
"""

import asyncio
import gc
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from services.command.hot_lists import HotLists, Wanted
from services.feature.shopper_history import READS, ShopperHistories
from services.feature.user_state import UserStates
from services.ranking.metrics import RankingMetrics
from services.ranking.rank import Ranker
from services.ranking.registry import RegistryPointer
from services.ranking.serving_model import BundleLoader, ServingModel
from shared.features.registry import schema_hash
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.clock import SystemClock
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from shared.storage.live_catalogue import LiveCatalogue
from shared.storage.redis.change_stream import BLOCK_MS, ChangeStream
from shared.storage.redis.clients import async_client
from shared.storage.redis.recommendation_cache import RecommendationCache
from shared.storage.redis.user_state import OnlineStateReader
from shared.storage.relational import rules
from shared.storage.relational.engine import make_engine

NAME = "batch"
CATALOGUE_TIMEOUT_S = 60.0
STATEMENT_MS = 60_000
FOLLOW_TIMEOUT_S = BLOCK_MS / 1000 + 2.0


class NothingServesError(Exception):
    """No model was ever published."""


@dataclass(frozen=True)
class Done:
    """What one process made, without the seconds it took to load."""

    lists: int
    seconds: float
    cpu_seconds: float


def work(settings: Settings, user_keys: Sequence[str], wanted: Wanted, ttl_s: int) -> Done:
    """Make and keep the lists of some shoppers."""
    return asyncio.run(_work(settings, user_keys, wanted, ttl_s))


async def _work(settings: Settings, user_keys: Sequence[str], wanted: Wanted, ttl_s: int) -> Done:
    async with AsyncExitStack() as closing:
        lists = await _open(settings, ttl_s, closing)
        gc.collect()
        gc.freeze()  # model and catalogue are there to stay: no pause of the collector for walking them
        started_s, started_cpu_s = time.perf_counter(), time.process_time()
        made = await lists.make(user_keys, wanted)
        return Done(made, time.perf_counter() - started_s, time.process_time() - started_cpu_s)


async def _open(settings: Settings, ttl_s: int, closing: AsyncExitStack) -> HotLists:
    """Return the lists over the real stores; `closing` ends the connections."""
    zone = ZoneInfo(settings.timezone)
    engine = make_engine(settings.database_url, READS + 1, STATEMENT_MS)
    cache, follow = async_client(settings.redis_cache_url), async_client(settings.redis_stream_url, FOLLOW_TIMEOUT_S)
    histories = ShopperHistories(engine)
    closing.callback(engine.dispose)
    closing.callback(histories.close)
    for client in (cache, follow):
        closing.push_async_callback(client.aclose)
    live = LiveCatalogue(engine, ChangeStream(follow, settings.namespace))
    closing.push_async_callback(live.stop)
    await live.start(CATALOGUE_TIMEOUT_S)
    with engine.connect() as connection:
        merchandising = rules.load(connection)
    ranker = Ranker(zone, RankingMetrics(ServiceMetrics(NAME)), merchandising=lambda: merchandising)
    states = UserStates(
        OnlineStateReader(cache, settings.namespace), histories, lambda: live.catalogue, CircuitBreaker()
    )
    kept = RecommendationCache(cache, settings.namespace, ttl_s=ttl_s)
    model = _model(settings, RegistryPointer(engine), live)
    return HotLists(states, ranker, model, kept, SystemClock(), zone)


def _model(settings: Settings, pointer: RegistryPointer, live: LiveCatalogue) -> ServingModel:
    version = pointer.read()
    if version is None:
        raise NothingServesError("no model serves: train one first")
    folder = settings.home / NAME / "bundles"
    return BundleLoader(settings.bundle_url, folder, schema_hash(), lambda: live.catalogue).load(version)
