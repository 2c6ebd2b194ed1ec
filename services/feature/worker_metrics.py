"""The figures of the ingest worker, by stream.

Called by   ingest.py (makes them), stream_worker.py and event_writer.py (count)
Labels      stream is "events" or "impressions": a closed set
"""

from shared.service.metrics import ServiceMetrics

# From one turn of the loop to past the promise of 1 s, and on to an outage.
EFFECT_BUCKETS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 600.0)


class StreamFigures:
    """What one stream's worker counts."""

    def __init__(self, metrics: "WorkerMetrics", stream: str) -> None:
        self.unread = metrics.unread.labels(stream)
        self.pending = metrics.pending.labels(stream)
        self.inserted = metrics.inserted.labels(stream)
        self.duplicates = metrics.duplicates.labels(stream)
        self.erased = metrics.erased.labels(stream)
        self.dead_letters = metrics.dead_letters.labels(stream)
        self.failed_tries = metrics.failed_tries.labels(stream)
        self.claimed = metrics.claimed.labels(stream)
        self.effect_seconds = metrics.effect_seconds.labels(stream)
        self.stores_down = metrics.stores_down.labels(stream)


class WorkerMetrics:
    """All metrics of the process."""

    def __init__(self, service: ServiceMetrics) -> None:
        by_stream = ("stream",)
        self.unread = service.gauge("ingest_lag_entries", "Entries nobody has read yet", by_stream)
        self.pending = service.gauge("ingest_pending_entries", "Entries read and not acknowledged", by_stream)
        self.inserted = service.counter("ingest_inserted_total", "Rows new in Postgres", by_stream)
        self.duplicates = service.counter("ingest_duplicates_total", "Rows known already", by_stream)
        self.erased = service.counter(
            "ingest_erased_total", "Rows of erased shoppers that came late, dropped", by_stream
        )
        self.dead_letters = service.counter("ingest_dead_letters_total", "Entries put aside for good", by_stream)
        self.failed_tries = service.counter("ingest_failed_tries_total", "Failed tries of single entries", by_stream)
        self.claimed = service.counter("ingest_claimed_total", "Entries taken over after their worker died", by_stream)
        self.stores_down = service.counter("ingest_store_down_total", "Turns ended by a store that is away", by_stream)
        self.effect_seconds = service.histogram(
            "ingest_effect_seconds", "From the acceptance of an event to its effect", by_stream, EFFECT_BUCKETS_S
        )

    def of(self, stream: str) -> StreamFigures:
        """Return the figures of one stream."""
        return StreamFigures(self, stream)
