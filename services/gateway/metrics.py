"""The gateway's own figures: which rung answered and why, how long each stage took, what was dropped.

Called by   services/gateway (every use case gets the one object made in main.py)
Labels      closed sets; a scenario outside KNOWN_SCENARIOS counts as "other"
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Counter, Histogram

from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.metrics import ServiceMetrics

LIST_NAMES = ("popular", "trending", "new")
KNOWN_SCENARIOS = frozenset(
    {"home", "product", "category", "cart", "checkout", "search", "email", "similar", *LIST_NAMES}
)
STAGES = ("cache", "feature", "ranking", "serialise")


class GatewayMetrics:
    """Counters and histograms of the gateway."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        self._recommend = metrics.counter(
            "recommend_total", "Lists answered", ("scenario", "served_from", "degraded_reason")
        )
        stages = metrics.histogram("recommend_stage_seconds", "Time of each step of a list", ("stage",))
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._cache = metrics.counter("cache_reads_total", "Reads of the list cache", ("result",))
        self._events = metrics.counter("events_total", "Events by what became of them", ("result",))
        self._dropped = metrics.counter("after_answer_dropped_total", "Writes after the answer, lost", ("kind",))
        self._calls = metrics.counter("dependency_calls_total", "Calls by outcome", ("dependency", "outcome"))
        self._seconds = metrics.histogram("recommend_seconds", "Time to make a list", ("served_from",))
        # Found again by key: looking series up by their labels costs more than counting.
        self._lists: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._queued = metrics.gauge("after_answer_queued", "Writes that wait behind the answers", ("kind",))
        self._service = metrics

    def count_list(self, scenario: str, served_from: str, degraded_reason: str, took_ms: float) -> None:
        """Count one answered list."""
        key = (scenario if scenario in KNOWN_SCENARIOS else "other", served_from, degraded_reason)
        figures = self._lists.get(key)
        if figures is None:
            figures = self._lists[key] = (self._recommend.labels(*key), self._seconds.labels(served_from))
        answered, seconds = figures
        answered.inc()
        seconds.observe(took_ms / 1000)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one step: cache, feature, ranking or serialise."""
        started_s = perf_counter()
        try:
            yield
        finally:
            self._stages[name].observe(perf_counter() - started_s)

    def count_cache(self, result: str) -> None:
        """Count one read of the cache: hit, stale, miss or error."""
        self._cache.labels(result).inc()

    def count_events(self, result: str, number: int) -> None:
        """Count events of one receipt: accepted, duplicate or rejected."""
        if number:
            self._events.labels(result).inc(number)

    def count_dropped(self, kind: str, number: int) -> None:
        """Count impressions or cache writes that were lost."""
        self._dropped.labels(kind).inc(number)

    def count_call(self, dependency: str, outcome: str) -> None:
        """Count one attempt: ok, error, timeout, shed, refused (by the breaker), saturated, retried."""
        self._calls.labels(dependency, outcome).inc()

    def watch_queue(self, kind: str, length: Callable[[], int]) -> None:
        """Show how many writes wait, read when the metrics are scraped."""
        self._queued.labels(kind).set_function(length)
        self._dropped.labels(kind)  # a counter that begins at 0 shows its first loss

    def watch_breaker(self, dependency: str, breaker: CircuitBreaker) -> None:
        """Show a breaker's state, read when the metrics are scraped."""
        self._service.watch_breaker(dependency, breaker)
