"""Prometheus metrics: one registry for each process, RED figures for every route, and short ways to add more.

Called by   shared/service/app.py (makes one), middleware.py (counts requests), each service's own metrics module
Labels      small closed sets only: never a user, an item, a request id or a raw path
"""

from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response

from shared.resilience.circuit_breaker import BreakerState, CircuitBreaker

# From a cache hit to past the deadline of 300 ms.
LATENCY_BUCKETS_S = tuple(
    milliseconds / 1000
    for milliseconds in (1, 2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 60, 100, 150, 190, 250, 300, 500, 1000, 5000)
)


BREAKER_VALUES = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class BoundedLabel:
    """Keeps the values of a label few: the first `most` count under their own name, all later ones as "other"."""

    OTHER = "other"

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """Return the value to count under."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return self.OTHER
            self._known.add(value)
        return value


class _RequestFigures(NamedTuple):
    """The two series that one kind of answer adds to."""

    answered: Counter
    seconds: Histogram


class ServiceMetrics:
    """The metrics of one service; names start with `aisle_`, times are seconds."""

    def __init__(self, service: str) -> None:
        self.service = service
        disable_created_metrics()  # type: ignore[no-untyped-call]  # half as many series
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self.counter(
            "http_requests_total", "Requests answered", ("service", "method", "route", "status")
        )
        self._seconds = self.histogram("http_request_seconds", "Time to the last byte", ("service", "route", "outcome"))
        self._figures: dict[tuple[str, str, int], _RequestFigures] = {}
        self._breakers = self.gauge("breaker_state", "0 closed, 1 half open, 2 open", ("service", "dependency"))
        self.in_flight = self.gauge("http_requests_in_flight", "Requests being answered", ("service",)).labels(service)

    def counter(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
        """Add a counter."""
        return Counter(f"aisle_{name}", meaning, labels, registry=self.registry)

    def gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        """Add a gauge."""
        return Gauge(f"aisle_{name}", meaning, labels, registry=self.registry)

    def histogram(
        self, name: str, meaning: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY_BUCKETS_S
    ) -> Histogram:
        """Add a histogram; the default buckets are seconds around the latency promises."""
        return Histogram(f"aisle_{name}", meaning, labels, buckets=buckets, registry=self.registry)

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the template, such as /items/{item_id}."""
        # Found again by key: looking series up by their labels costs more than counting.
        figures = self._figures.get((method, route, status)) or self._new_figures(method, route, status)
        figures.answered.inc()
        figures.seconds.observe(seconds)

    def _new_figures(self, method: str, route: str, status: int) -> _RequestFigures:
        figures = _RequestFigures(
            self._requests.labels(self.service, method, route, str(status)),
            self._seconds.labels(self.service, route, outcome_of(status)),
        )
        self._figures[method, route, status] = figures
        return figures

    def watch_breaker(self, dependency: str, breaker: CircuitBreaker) -> None:
        """Show a breaker's state, read when the metrics are scraped."""
        self._breakers.labels(self.service, dependency).set_function(lambda: BREAKER_VALUES[breaker.state])

    def response(self) -> Response:
        """Return the answer to GET /metrics."""
        return Response(generate_latest(self.registry), headers={"content-type": CONTENT_TYPE_LATEST})


def outcome_of(status: int) -> str:
    """Return whose success or fault an answer is: ok, refused (the client's) or error (ours)."""
    return "ok" if status < 400 else "refused" if status < 500 else "error"
