"""The figures of every route: requests by status, seconds by outcome, breakers by name."""

from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.metrics import ServiceMetrics


def test_an_answer_counts_by_status_and_its_time_by_whose_fault_it_is() -> None:
    metrics = ServiceMetrics("gateway")
    for status, seconds in ((200, 0.02), (200, 0.4), (404, 0.01), (503, 0.3)):
        metrics.observe_request("POST", "/recommend", status, seconds)

    def sample(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"service": "gateway", "route": "/recommend", **labels})

    assert sample("aisle_http_requests_total", method="POST", status="200") == 2
    assert sample("aisle_http_request_seconds_bucket", outcome="ok", le="0.3") == 1
    assert sample("aisle_http_request_seconds_count", outcome="ok") == 2
    assert sample("aisle_http_request_seconds_count", outcome="refused") == 1
    assert sample("aisle_http_request_seconds_count", outcome="error") == 1


def test_a_breaker_shows_its_state_when_it_is_read() -> None:
    metrics, breaker = ServiceMetrics("feature"), CircuitBreaker()
    metrics.watch_breaker("online_state", breaker)
    labels = {"service": "feature", "dependency": "online_state"}
    assert metrics.registry.get_sample_value("aisle_breaker_state", labels) == 0
    for _ in range(20):
        breaker.failed()
    assert metrics.registry.get_sample_value("aisle_breaker_state", labels) == 2
