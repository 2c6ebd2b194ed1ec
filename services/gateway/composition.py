"""Put the gateway's use cases together over whatever stands outside: real stores and services, or a test's fakes.

Called by   services/gateway/main.py, tests
In          settings, Outside, a clock, the metrics
Out         Parts: the use cases behind the routes, and the jobs that run beside them
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from services.gateway.after_answer import AfterAnswer
from services.gateway.batch import RecommendBatch
from services.gateway.change_follower import ChangeFollower
from services.gateway.clients import FeatureClient, RankingClient
from services.gateway.dependency import Dependency
from services.gateway.event_intake import EventIntake
from services.gateway.explain import Explain
from services.gateway.fallback import Fallback
from services.gateway.hidden_items import HiddenItems
from services.gateway.item_changes import ItemChanges
from services.gateway.key_ring import KeyRing
from services.gateway.list_store import ListStore
from services.gateway.listing import Listing
from services.gateway.lists_board import ListsBoard
from services.gateway.metrics import GatewayMetrics
from services.gateway.personal_list import Budgets, PersonalList
from services.gateway.ports import ChangeFeed, EventLog, ImpressionLog, ListCache, ListsSource, Sender
from services.gateway.proxy import TIMEOUT_MS, FeatureProxy
from services.gateway.rate_limit import Buckets, RateLimits
from services.gateway.recommend import Recommend, Rungs
from services.gateway.refreshed_copy import DocumentSource
from services.gateway.routes import Gateway
from services.gateway.serving_model import ServingModel
from services.gateway.showing import Showing
from services.gateway.shown import FeaturesRead, Shown
from services.gateway.similar import Similar
from shared.contracts.access import ApiKeys
from shared.contracts.merchandising import Merchandising
from shared.resilience.adaptive_limit import AdaptiveLimit
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.resilience.concurrency_limit import ConcurrencyLimit
from shared.resilience.loop_beat import LoopBeat
from shared.service.background import Job
from shared.service.clock import Clock
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from shared.storage.redis.recommendation_cache import Entry

GOOD_TIME = 0.4
"""share of the deadline that a live list may take before there are too many at once: a state is a third of the work, so
that it is still within feature's budget then"""
IMPRESSIONS_PAUSE_S = 0.1
"""between two batches of impressions: a click on a list comes later than that"""
ADMIN_SLOTS = 32
"""calls to feature for the catalogue and users at once; apart from those of the live path"""


@dataclass(frozen=True)
class Outside:
    """Everything the gateway talks to."""

    cache: ListCache
    events: EventLog
    impressions: ImpressionLog
    lists: ListsSource
    changes: ChangeFeed
    keys: DocumentSource[ApiKeys]
    rules: DocumentSource[Merchandising]
    rates: Buckets
    feature: Sender
    ranking: Sender


@dataclass(frozen=True)
class Parts:
    """The gateway, put together."""

    gateway: Gateway
    ring: KeyRing
    limits: RateLimits
    board: ListsBoard
    changes: ItemChanges
    keeps: AfterAnswer[Entry]
    impressions: AfterAnswer[Shown]
    places: AdaptiveLimit
    beat: LoopBeat
    jobs: dict[str, Job]


def compose(settings: Settings, outside: Outside, clock: Clock, service_metrics: ServiceMetrics) -> Parts:
    """Return the gateway; nothing is opened and no job runs yet."""
    metrics = GatewayMetrics(service_metrics)
    # Lists cached before this process began may be fresh still: the changes since they were made are read first.
    changes = ItemChanges(clock.now_ms() - 2 * settings.cache_ttl_s * 1000)
    board = ListsBoard(settings.snapshot_path)
    model, hidden = ServingModel(), HiddenItems()
    ring = KeyRing(
        settings.api_key_list(),
        required=settings.require_keys,
        snapshot_path=settings.keys_snapshot_path,
        clock=clock,
    )
    limits = RateLimits(outside.rates, settings.rate_limit_per_s, settings.cache_timeout_ms, _breaker(clock), clock)
    store = ListStore(outside.cache, _breaker(clock), changes, model, metrics)

    async def append_impressions(shown: Sequence[Shown]) -> None:
        await outside.impressions.append([entry.impression() for entry in shown])

    beat = LoopBeat()
    good_ms = GOOD_TIME * settings.deadline_ms
    places = AdaptiveLimit(settings.max_in_flight, good_ms, clock.monotonic_s, lambda: beat.is_behind)
    keeps = AfterAnswer("cached_list", store.write, metrics)
    impressions = AfterAnswer("impression", append_impressions, metrics, pause_s=IMPRESSIONS_PAUSE_S)
    gateway = _gateway(
        settings, outside, _Shared(store, board, changes, hidden, model, keeps, impressions, places, clock, metrics)
    )

    async def follow_lists() -> None:
        await board.follow(outside.lists, settings.lists_poll_s)

    async def follow_rules() -> None:
        await hidden.follow(outside.rules)

    async def follow_keys() -> None:
        await ring.follow(outside.keys)

    jobs: dict[str, Job] = {
        "beat": beat.run,
        "follow_keys": follow_keys,
        "follow_rules": follow_rules,
        "follow_lists": follow_lists,
        "follow_changes": ChangeFollower(outside.changes, changes, model, ring, hidden).run,
        "write_cached_lists": keeps.run,
        "write_impressions": impressions.run,
    }
    return Parts(gateway, ring, limits, board, changes, keeps, impressions, places, beat, jobs)


@dataclass(frozen=True)
class _Shared:
    """What several use cases share."""

    store: ListStore
    board: ListsBoard
    changes: ItemChanges
    hidden: HiddenItems
    model: ServingModel
    keeps: AfterAnswer[Entry]
    impressions: AfterAnswer[Shown]
    places: AdaptiveLimit
    clock: Clock
    metrics: GatewayMetrics


def _gateway(settings: Settings, outside: Outside, parts: _Shared) -> Gateway:
    clock, metrics = parts.clock, parts.metrics
    slots = settings.max_in_flight
    budgets = Budgets(
        settings.deadline_ms, settings.cache_timeout_ms, settings.feature_timeout_ms, settings.ranking_timeout_ms
    )
    feature = FeatureClient(outside.feature, _dependency("feature", settings.feature_timeout_ms, slots, clock, metrics))
    ranking = RankingClient(outside.ranking, _dependency("ranking", settings.ranking_timeout_ms, slots, clock, metrics))
    admin = _dependency("feature_admin", TIMEOUT_MS, ADMIN_SLOTS, clock, metrics)
    memory = Fallback(parts.board, parts.changes, parts.hidden)
    live = PersonalList(feature, ranking, parts.model, metrics)
    ttl_ms = settings.cache_ttl_s * 1000
    rungs = Rungs(parts.store, live, memory, parts.changes)
    zone = ZoneInfo(settings.timezone)
    recommend = Recommend(rungs, parts.places, budgets, ttl_ms, clock, zone, parts.keeps)
    showing = Showing(metrics, parts.impressions, FeaturesRead.of(zone))
    return Gateway(
        recommend=recommend,
        batch=RecommendBatch(recommend, showing),
        similar=Similar(ranking, memory, budgets, ttl_ms, clock, metrics),
        explain=Explain(feature, ranking, budgets, clock, zone),
        listing=Listing(parts.board, memory, parts.changes, ttl_ms, clock),
        events=EventIntake(outside.events, _breaker(clock), feature, clock, metrics),
        feature=FeatureProxy(outside.feature, admin),
        showing=showing,
        metrics=metrics,
    )


def _breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(monotonic_s=clock.monotonic_s)


def _dependency(name: str, timeout_ms: float, slots: int, clock: Clock, metrics: GatewayMetrics) -> Dependency:
    return Dependency(name, timeout_ms, metrics, ConcurrencyLimit(slots), _breaker(clock))
