"""The promises of Aisle as recording rules and burn-rate alerts.

Called by   build.py (writes rules/slo.yml), tests/monitoring (with windows of seconds, against a running platform)
Promise     the share of valid events that may be bad; a request refused for the client's fault is not valid
Alert       both windows of a pair must burn the budget faster than the pair's rate: the long one says that it matters,
            the short one that it still goes on; and the short one must have seen `least_events`
Source      "Alerting on SLOs", The Site Reliability Workbook (Google), chapter 5: rates for a budget of 30 days
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Rule = dict[str, Any]

RECOMMEND = 'service="gateway",route="/recommend"'
PERSONAL = 'scenario!~"popular|trending|new|similar"'
EVENTS = 'stream="events"'


@dataclass(frozen=True)
class Promise:
    """One service level objective. `valid` and `good` are counters, with %s for the window."""

    name: str
    alert: str
    budget: float
    valid: str
    good: str
    summary: str


PROMISES = (
    Promise(
        name="availability",
        alert="RecommendAvailabilityBurns",
        budget=0.001,
        valid=f'aisle_http_request_seconds_count{{{RECOMMEND},outcome=~"ok|error"}}',
        good=f'aisle_http_request_seconds_bucket{{{RECOMMEND},outcome="ok",le="0.3"}}',
        summary="POST /recommend fails, or answers later than 300 ms",
    ),
    Promise(
        name="personalised",
        alert="RecommendPersonalisedBurns",
        budget=0.01,
        valid=f"aisle_recommend_total{{{PERSONAL}}}",
        good=f'aisle_recommend_total{{{PERSONAL},degraded_reason=~"none|cold_start"}}',
        summary="shoppers get degraded lists instead of their own",
    ),
    Promise(
        name="latency",
        alert="RecommendLatencyBurns",
        budget=0.01,
        valid=f'aisle_http_request_seconds_count{{{RECOMMEND},outcome="ok"}}',
        good=f'aisle_http_request_seconds_bucket{{{RECOMMEND},outcome="ok",le="0.25"}}',
        summary="POST /recommend takes longer than 250 ms",
    ),
    Promise(
        name="freshness",
        alert="EventFreshnessBurns",
        budget=0.01,
        valid=f"aisle_ingest_effect_seconds_count{{{EVENTS}}}",
        good=f'aisle_ingest_effect_seconds_bucket{{{EVENTS},le="5.0"}}',
        summary="events take longer than 5 s to act on recommendations",
    ),
)


@dataclass(frozen=True)
class Burn:
    """A pair of windows and how many times faster than allowed the budget may be used in both."""

    long: str
    short: str
    rate: float
    severity: str
    least_events: float


BURNS = (
    Burn("1h", "5m", 14.4, "page", 30),
    Burn("6h", "30m", 6, "page", 60),
    Burn("1d", "2h", 3, "ticket", 120),
    Burn("3d", "6h", 1, "ticket", 240),
)


def promise_groups(burns: Sequence[Burn] = BURNS) -> list[Rule]:
    """Return the groups of rules/slo.yml."""
    windows = list(dict.fromkeys(window for burn in burns for window in (burn.short, burn.long)))
    recorded = [_record(promise, window) for promise in PROMISES for window in windows]
    alerts = [_alert(promise, burn) for promise in PROMISES for burn in burns]
    return [{"name": "aisle-slo-ratios", "rules": recorded}, {"name": "aisle-slo-burn", "rules": alerts}]


def _record(promise: Promise, window: str) -> Rule:
    """Record the share of bad events; no series while nothing is asked."""
    good = f"sum(rate({promise.good}[{window}]))"
    valid = f"sum(rate({promise.valid}[{window}]))"
    # Of a good counter that was never touched there is no series: then everything is bad.
    expression = f"1 - ({good} or vector(0)) / ({valid} > 0)"
    return {"record": recorded_name(promise, window), "expr": expression, "labels": {"slo": promise.name}}


def recorded_name(promise: Promise, window: str) -> str:
    """Return the name of a recorded ratio, in Prometheus' manner: level:metric:operation."""
    return f"aisle:{promise.name}:bad_ratio_rate{window}"


def _alert(promise: Promise, burn: Burn) -> Rule:
    threshold = f"{burn.rate * promise.budget:.6g}"
    conditions = [f"{recorded_name(promise, window)} > {threshold}" for window in (burn.long, burn.short)]
    enough = f"sum(increase({promise.valid}[{burn.short}])) >= {burn.least_events:g}"
    return {
        "alert": promise.alert,
        "expr": f"{conditions[0]}\nand {conditions[1]}\nand on () {enough}",
        "labels": {"severity": burn.severity, "window": burn.long},
        "annotations": {
            "summary": f"{promise.summary} ({{{{ $value | humanizePercentage }}}} in {burn.long})",
            "budget": f"{promise.budget:.1%} may be bad in 30 days; this is {burn.rate:g} times too fast",
            "runbook": f"deploy/runbooks/{promise.alert}.md",
        },
    }
