"""Store a batch of the event stream: decode, insert once, show online, say what is finished.

Called by   stream_worker.py, in the thread of the event stream
Cache away  Postgres goes on: the batch is held, unacknowledged, and shown with a later one. A worker killed meanwhile
            leaves it pending, and the next worker drops the online state of its shoppers. Beyond MAX_HELD entries the
            stream has to wait, so that memory stays bounded
Errors      pydantic.ValidationError for a payload that is not ours; STORES_DOWN of stream_worker.py
"""

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from services.feature.event_store import EventStore
from services.feature.stream_worker import Stored
from services.feature.worker_metrics import StreamFigures
from shared.contracts.events import StoredEvent
from shared.contracts.times import epoch_ms
from shared.storage.redis.clients import STORE_ERRORS
from shared.storage.redis.event_stream import decode_events
from shared.storage.redis.stream_reader import Entry
from shared.storage.relational.interactions import InsertOutcome

MAX_HELD = 20_000
SHOW_AGAIN_S = 1.0
CONFLICT = "event_id_conflict: another event is stored under this id"

CountActs = Callable[[Sequence[StoredEvent]], None]
"""Hears of events that are new and visible; never raises (outcomes.py)."""
ForgetClaims = Callable[[Sequence[str]], None]
"""Deletes what the stream server remembers of event ids; may raise STORE_ERRORS, and the batch is stored again."""

log = structlog.get_logger()


@dataclass(frozen=True)
class _Batch:
    """What is in Postgres and not yet online."""

    entries: Sequence[Entry]
    refused: Mapping[str, str]
    """entry id → why it must become a dead letter"""
    outcome: InsertOutcome


class EventWriter:
    """Writes events. Belongs to one thread."""

    def __init__(
        self, store: EventStore, figures: StreamFigures, count_acts: CountActs, forget_claims: ForgetClaims
    ) -> None:
        self._store = store
        self._figures = figures
        self._count_acts = count_acts
        self._forget_claims = forget_claims
        self._waiting: list[_Batch] = []
        self._show_due_s = 0.0

    def held(self) -> Container[str]:
        """Return the ids of entries that are in Postgres and wait for the online state."""
        return {entry.id for batch in self._waiting for entry in batch.entries}

    def store(self, entries: Sequence[Entry]) -> Stored:
        """Insert, then show; the entries of this call may be finished by a later one."""
        stored = Stored()
        if sum(len(batch.entries) for batch in self._waiting) >= MAX_HELD:
            self._show(stored)
        lines_of = [decode_events(entry.payload) for entry in entries]
        if entries:
            outcome = self._store.insert([line for lines in lines_of for line in lines])
            if outcome.erased:
                # A shop may name its events after its shoppers.
                self._forget_claims([event.event_id for event in outcome.erased])
            self._figures.inserted.inc(len(outcome.new))
            self._figures.duplicates.inc(len(outcome.duplicates))
            self._figures.erased.inc(len(outcome.erased))
            self._waiting.append(_Batch(entries, _conflicting(entries, lines_of, outcome.conflicts), outcome))
        if self._waiting and time.monotonic() >= self._show_due_s:
            try:
                self._show(stored)
            except STORE_ERRORS as error:
                log.warning("online_state_down", error=type(error).__name__, held_batches=len(self._waiting))
                self._show_due_s = time.monotonic() + SHOW_AGAIN_S
        return stored

    def _show(self, stored: Stored) -> None:
        """Show everything that waits and add its entries to `stored`; STORE_ERRORS while the online store is away."""
        self._store.show([batch.outcome for batch in self._waiting])
        shown, self._waiting = self._waiting, []
        for batch in shown:
            self._measure(batch.outcome.new)
            self._count_acts(batch.outcome.new)
            for entry in batch.entries:
                if entry.id in batch.refused:
                    stored.refused.append((entry, batch.refused[entry.id]))
                else:
                    stored.finished.append(entry)

    def _measure(self, events: Iterable[StoredEvent]) -> None:
        now_ms = time.time() * 1000
        for event in events:
            self._figures.effect_seconds.observe(max(0.0, now_ms - epoch_ms(event.received_at)) / 1000)


def _conflicting(
    entries: Sequence[Entry], lines_of: Sequence[list[StoredEvent]], conflicts: Sequence[StoredEvent]
) -> dict[str, str]:
    """Return the entries of which a line meets another event under its id: none accepted may vanish in silence."""
    met = {(event.event_id, event.content_hash) for event in conflicts}
    return {
        entry.id: CONFLICT
        for entry, lines in zip(entries, lines_of, strict=True)
        if met and any((line.event_id, line.content_hash) in met for line in lines)
    }
