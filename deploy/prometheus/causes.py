"""Alerts beside the burn rates: promises without a budget, which page, and causes, which are tickets.

Called by   build.py (writes rules/symptoms.yml and rules/causes.yml)
Page        only what hurts shoppers now: one broken promise of S4 (no event lost), S6 (no request failed by a model
            change), S8 (erasure), or nobody answering at all
Ticket      what will hurt if it stays: for working hours
"""

from dataclasses import dataclass, field
from typing import Any

Rule = dict[str, Any]


@dataclass(frozen=True)
class Alert:
    """One alert."""

    name: str
    expression: str
    summary: str
    lasting: str = "0m"
    severity: str = field(default="ticket")

    def rule(self) -> Rule:
        """Return it as Prometheus reads it."""
        annotations = {"summary": self.summary, "runbook": f"deploy/runbooks/{self.name}.md"}
        labels = {"severity": self.severity}
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasting,
            "labels": labels,
            "annotations": annotations,
        }


ACCEPTED = 'sum(rate(aisle_events_total{result="accepted"}[5m]))'
STORED = 'sum(rate({0}_total{{stream="events"}}[5m]))'
ERASURES_FAILED = 'aisle_http_requests_total{service="gateway",method="DELETE",route=~"/users/.*",status=~"5.."}'
GATEWAY_ERRORS = 'aisle_http_requests_total{service="gateway",status=~"5.."}'


def risen(counter: str, window: str) -> str:
    """Return by how much a counter rose, its first value among it: before the first failure there is no series."""
    return f"sum((increase({counter}[{window}]) > 0) or ({counter} unless {counter} offset {window}))"


SYMPTOMS = (
    Alert(
        "GatewayUnreachable",
        'absent(up{job="aisle-gateway"} == 1)',
        "no gateway answers: shoppers get no lists at all",
        lasting="2m",
        severity="page",
    ),
    Alert(
        "EventsLost",
        'sum(increase(aisle_ingest_dead_letters_total{stream="events"}[1h])) > 0',
        "{{ $value }} accepted events were put aside and are not in Postgres",
        severity="page",
    ),
    Alert(
        "EventsNotStored",
        f"{ACCEPTED} > 0\nunless on ()"
        f" ({STORED.format('aisle_ingest_inserted')} + {STORED.format('aisle_ingest_duplicates')}) > 0",
        "events are accepted and none reaches Postgres",
        lasting="5m",
        severity="page",
    ),
    Alert(
        "RequestsFailedInModelChange",
        f"{risen(GATEWAY_ERRORS, '5m')} > 0\nand on () sum(increase(aisle_model_loads_total[5m])) > 0",
        "{{ $value }} requests failed within five minutes of a model change",
        severity="page",
    ),
    Alert(
        "ErasureFailed",
        f"{risen(ERASURES_FAILED, '1h')} > 0",
        "{{ $value }} erasures of shoppers failed; they have to be asked for again",
        severity="page",
    ),
)

CAUSES = (
    Alert("TargetDown", 'up{job=~"aisle-.+"} == 0', "{{ $labels.job }} {{ $labels.instance }} is not scraped", "5m"),
    Alert(
        "ProcessRestarts",
        'changes(process_start_time_seconds{job=~"aisle-.+"}[1h]) > 3',
        "{{ $labels.job }} {{ $labels.instance }} started {{ $value }} times in an hour",
    ),
    Alert(
        "BreakerOpen",
        "min_over_time(aisle_breaker_state[5m]) > 0",
        "{{ $labels.service }} has given up on {{ $labels.dependency }}",
        "5m",
    ),
    Alert(
        "StreamLagging",
        "max by (stream) (aisle_ingest_lag_entries + aisle_ingest_pending_entries) > 10000",
        "{{ $value }} entries of the {{ $labels.stream }} stream wait",
        "10m",
    ),
    Alert(
        "StoreUnreachable",
        "sum by (stream) (increase(aisle_ingest_store_down_total[5m])) > 0",
        "the ingest worker cannot reach a store of the {{ $labels.stream }} stream",
        "5m",
    ),
    Alert(
        "WritesDropped",
        "sum by (kind) (increase(aisle_after_answer_dropped_total[15m])) > 0",
        "{{ $value }} writes ({{ $labels.kind }}) after answers were lost",
        "5m",
    ),
    Alert(
        "RankingQueues",
        "avg_over_time(aisle_ranking_queued[10m]) > 10",
        "{{ $value }} requests wait in {{ $labels.instance }}: more replicas are needed",
        "10m",
    ),
    Alert(
        "RankingRefuses",
        "sum(rate(aisle_ranking_refused_total[15m]))"
        ' / sum(rate(aisle_http_requests_total{service="ranking",route="/rank"}[15m])) > 0.05',
        "ranking turns away {{ $value | humanizePercentage }} of its requests, which would be late",
        "15m",
    ),
    Alert("NoModelServes", "absent(aisle_model_version_info)", "no ranking process has a model", "10m"),
    Alert(
        "ModelVersionsDiffer",
        "count(count by (version) (aisle_model_version_info == 1)) > 1",
        "ranking processes serve {{ $value }} versions",
        "10m",
    ),
    Alert(
        "ModelLoadFails",
        "sum by (reason) (increase(aisle_model_load_failures_total[15m])) > 0",
        "a published model is refused: {{ $labels.reason }}",
        "5m",
    ),
    Alert(
        "ModelStale",
        "min(aisle_model_age_seconds) > 3 * 86400",
        "the model's training data ended {{ $value | humanizeDuration }} ago",
        "1h",
    ),
    Alert("TrainingFailed", "max(aisle_training_last_run_failed) == 1", "the newest training run failed", "5m"),
    Alert(
        "FeatureParityBroken",
        'sum(increase(aisle_feature_parity_checks_total{result="different"}[1h])) > 0',
        "{{ $value }} shoppers' online state differs from Postgres",
    ),
    Alert("Watchdog", "vector(1)", "always on: where it stays away, alerting itself is broken", severity="none"),
)


def alert_groups() -> dict[str, list[Rule]]:
    """Return the groups by the file they belong in."""
    return {
        "symptoms": [{"name": "aisle-symptoms", "rules": [alert.rule() for alert in SYMPTOMS]}],
        "causes": [{"name": "aisle-causes", "rules": [alert.rule() for alert in CAUSES]}],
    }
