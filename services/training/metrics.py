"""What the training service shows of runs, of the model that serves, and of how varied the lists of the last day were.

Called by   observer.py (sets the figures), services/training/main.py (makes them)
Labels      states, sources and metrics are closed sets; scenario, model and arm those of the largest groups of a day
"""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from shared.service.metrics import ServiceMetrics
from shared.storage.relational.attribution import arm_name
from shared.storage.relational.business_metrics import BusinessMetrics
from shared.storage.relational.model_registry import ModelVersion
from shared.storage.relational.runs import RunState, TrainingRun

MOST_GROUPS = 40
SHOWN_METRICS = ("NDCG@10", "HR@10", "MRR", "coverage")


class TrainingMetrics:
    """Training's figures; names start with `aisle_`."""

    def __init__(self, service: ServiceMetrics) -> None:
        self._runs = service.gauge("training_runs", "Runs among the newest fifty, by state", ("state",))
        self._progress = service.gauge("training_run_progress", "How far the newest run is, 0 to 1")
        self._last_failed = service.gauge("training_last_run_failed", "1 while the newest run that ended has failed")
        self._success_at = service.gauge("training_last_success_timestamp_seconds", "End of the last good run")
        self._age = service.gauge("registry_model_age_seconds", "Time since the serving version was registered")
        self._quality = service.gauge(
            "model_quality", "Of the serving version, on its test period", ("metric", "source")
        )
        groups = ("scenario", "model", "arm")
        self._coverage = service.gauge("lists_coverage_ratio", "Share of the catalogue in lists, last day", groups)
        self._diversity = service.gauge("lists_diversity_ratio", "Pairs of unlike category, last day", groups)
        self._novelty = service.gauge("lists_novelty_bits", "Self-information of items shown, last day", groups)
        self._observed_at = service.gauge("training_observed_timestamp_seconds", "When these figures were last read")

    def show_runs(self, runs: Iterable[TrainingRun]) -> None:
        """Take runs, newest first."""
        newest = list(runs)
        for state in RunState:
            self._runs.labels(state.value).set(sum(run.state is state for run in newest))
        self._progress.set(newest[0].progress if newest else 0.0)
        ended = [run for run in newest if run.state in (RunState.SUCCEEDED, RunState.FAILED)]
        self._last_failed.set(bool(ended) and ended[0].state is RunState.FAILED)
        succeeded = [run.updated_at for run in ended if run.state is RunState.SUCCEEDED]
        if succeeded:
            self._success_at.set(max(succeeded).timestamp())
        self._observed_at.set(time.time())

    def show_model(self, model: ModelVersion | None) -> None:
        """Take the version that serves."""
        self._quality.clear()
        if model is None:
            return
        registered_at: datetime | None = model.created_at
        if registered_at is not None:
            self._age.set_function(lambda: time.time() - registered_at.timestamp())
        for row in evaluated_rows(model.metrics):
            for metric in SHOWN_METRICS:
                if metric in row:
                    self._quality.labels(metric, row["source"]).set(row[metric])

    def show_variety(self, groups: Iterable[BusinessMetrics]) -> None:
        """Take the lists of the last day, grouped; the smallest groups are left out when there are too many."""
        for gauge in (self._coverage, self._diversity, self._novelty):
            gauge.clear()
        largest = sorted(groups, key=lambda group: -group.lists)[:MOST_GROUPS]
        for group in largest:
            labels = (group.group["scenario"], group.group["model"], arm_name(json.loads(group.group["arms"])))
            self._novelty.labels(*labels).set(group.novelty)
            if group.coverage is not None:
                self._coverage.labels(*labels).set(group.coverage)
            if group.diversity is not None:
                self._diversity.labels(*labels).set(group.diversity)


def evaluated_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows, one for each source, of a model's evaluation on all targets; none if it was not evaluated."""
    rows = metrics.get("test", {}).get("rows", [])
    return [row for row in rows if isinstance(row.get("source"), str)]
