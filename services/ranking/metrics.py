"""What ranking measures: time by stage, candidates by source, removals by rule, and the life of models.

Called by   services/ranking/rank.py, services/ranking/model_host.py, services/ranking/admission.py
"""

import time
from collections.abc import Iterable, Mapping
from functools import lru_cache

from shared.service.metrics import ServiceMetrics

STAGES = ("encode", "retrieve", "filter", "fuse", "rerank", "reply")
STAGE_BUCKETS_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1)
CANDIDATE_BUCKETS = (0, 1, 5, 10, 20, 50, 100, 200, 500, 1000)
LOAD_BUCKETS_S = (0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 30)


class Stopwatch:
    """Splits the time of one request into stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._lap_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to a stage."""
        now_s = time.perf_counter()
        self.seconds[stage] += now_s - self._lap_s
        self._lap_s = now_s

    def took_ms(self) -> dict[str, float]:
        """Return the milliseconds of each stage, for the reply."""
        return {stage: round(seconds * 1000, 3) for stage, seconds in self.seconds.items()}


class RankingMetrics:
    """Ranking's figures; names start with `aisle_`."""

    def __init__(self, service: ServiceMetrics) -> None:
        self._stage = service.histogram("ranking_stage_seconds", "Time of one stage", ("stage",), STAGE_BUCKETS_S)
        # Finding a histogram by its label costs more than to count in it.
        self._stage_of = {stage: self._stage.labels(stage) for stage in STAGES}
        self._candidates = service.histogram(
            "ranking_candidates", "Candidates that a source retrieved for one request", ("source",), CANDIDATE_BUCKETS
        )
        self._candidates_of = lru_cache(maxsize=None)(self._candidates.labels)
        self._removed = service.counter("ranking_removed_total", "Candidates that a rule removed", ("rule",))
        self._cold = service.counter("ranking_cold_starts_total", "Requests of shoppers nothing is known of")
        self.widened = service.counter("ranking_widened_total", "Requests that were short of candidates")
        self.refused = service.counter("ranking_refused_total", "Requests that would have been late", ("when",))
        self.version = service.gauge("model_version_info", "1 for the version that serves", ("version",))
        self.age_s = service.gauge("model_age_seconds", "Time since the end of the model's training data")
        self.loads = service.counter("model_loads_total", "Models that were loaded and serve or served")
        self.load_failures = service.counter("model_load_failures_total", "Models that were refused", ("reason",))
        self.unknown_items = service.gauge(
            "model_unknown_items", "Items of the live catalogue that the serving model was not trained on"
        )
        self.queued = service.gauge("ranking_queued", "Requests that wait for their turn or have it")
        self.load_s = service.histogram("model_load_seconds", "From pointer to swap", (), LOAD_BUCKETS_S)

    def observe_request(self, watch: Stopwatch, removed: Mapping[str, int], cold: bool) -> None:
        """Count one answered request."""
        for stage, seconds in watch.seconds.items():
            self._stage_of[stage].observe(seconds)
        for rule, count in removed.items():
            self._removed.labels(rule).inc(count)
        if cold:
            self._cold.inc()

    def observe_candidates(self, counts: Iterable[tuple[str, int]]) -> None:
        """Count what each source retrieved."""
        for source, count in counts:
            self._candidates_of(source).observe(count)
