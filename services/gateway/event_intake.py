"""Take events: check them, store them durably, and only then say so.

Called by   services/gateway/routes.py (POST /events)
Steps       read the batch → append to the event stream → if that is away, insert through feature → the receipt
Errors      ProblemError 503 with Retry-After when neither could store them; the shop sends the same event ids again
"""

from typing import Any

import orjson
import structlog

from services.gateway.clients import FeatureClient
from services.gateway.dependency import DependencyError
from services.gateway.event_batch import EVENT_ID_CONFLICT, EventBatch, read_batch
from services.gateway.metrics import GatewayMetrics
from services.gateway.ports import EventLog
from shared.contracts.events import EventsReceipt, RejectedEvent
from shared.resilience.circuit_breaker import CircuitBreaker
from shared.service.clock import Clock
from shared.service.problems import unavailable
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.redis.event_stream import Verdict

RETRY_AFTER_S = 2

log = structlog.get_logger(__name__)


class EventIntake:
    """The way of an event into Aisle."""

    def __init__(
        self, stream: EventLog, breaker: CircuitBreaker, feature: FeatureClient, clock: Clock, metrics: GatewayMetrics
    ) -> None:
        self._stream = stream
        self._breaker = breaker
        self._feature = feature
        self._clock = clock
        self._metrics = metrics
        metrics.watch_breaker("event_stream", breaker)

    async def accept(self, document: Any) -> EventsReceipt:
        """Return the receipt of a parsed body; what it calls accepted survives any crash from now on."""
        batch = await read_batch(document, self._clock.now_ms())
        verdicts = await self._store(batch) if batch.events else []
        receipt = _receipt(batch, verdicts)
        self._metrics.count_events("accepted", receipt.accepted)
        self._metrics.count_events("duplicate", receipt.duplicates)
        self._metrics.count_events("rejected", len(receipt.rejected))
        return receipt

    async def _store(self, batch: EventBatch) -> list[Verdict]:
        # With the stream down for long, its timeout must not stand before every batch.
        if self._breaker.allow():
            try:
                with self._breaker.attempt(*STORE_ERRORS):
                    return await self._stream.append(batch.events)
            except STORE_ERRORS as error:
                log.warning("event_stream_unavailable", reason=type(error).__name__)
        return await self._insert(batch)

    async def _insert(self, batch: EventBatch) -> list[Verdict]:
        """Store through feature, which runs the same insert-once as the ingest worker."""
        lines = [line.model_dump(mode="json") for event in batch.events for line in event.lines]
        try:
            stored = await self._feature.insert_events(orjson.dumps(lines))
        except DependencyError as error:
            log.error("events_not_stored", number=len(batch.events), reason=str(error))
            stored = False
        if not stored:
            raise unavailable("events cannot be stored now; send the same events again", RETRY_AFTER_S)
        return ["accepted"] * len(batch.events)


def _receipt(batch: EventBatch, verdicts: list[Verdict]) -> EventsReceipt:
    rejected = list(batch.rejected)
    for place, verdict in zip(batch.places, verdicts, strict=True):
        if verdict == "conflict":
            message = "another event was accepted under this id"
            rejected.append(RejectedEvent(index=place, code=EVENT_ID_CONFLICT, field="event_id", message=message))
    return EventsReceipt(
        accepted=verdicts.count("accepted"),
        duplicates=verdicts.count("duplicate"),
        rejected=sorted(rejected, key=lambda entry: entry.index),
    )
