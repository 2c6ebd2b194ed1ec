"""Take entries from a stream to where they belong and lose none: read, store, acknowledge last, for ever.

Called by   ingest.py: one worker, in one thread, for each stream
In          the reading side of a stream (events or impressions), and the writer that stores its entries
Order       an entry is acknowledged after everything it changes is changed; a process killed anywhere before that
            leaves it pending, and it is claimed and stored again, which changes nothing twice
Poison      a batch that fails is halved until the entry that fails is alone; that one stays pending, is tried again
            after CLAIM_IDLE_MS, and goes to the dead letters with its reason when its MAX_DELIVERIES-th delivery fails.
            Deliveries alone kill none: an entry may have been in the hands of workers that died
Gathering   on a stream that nobody waits for, the worker rests `gather_s` after a batch that was not full: a
            transaction for each list shown takes milliseconds from the processes that answer
Stores down nothing is acknowledged; the batch is kept and tried again after a wait that doubles up to MAX_BACKOFF_S
Source      Redis documentation, "Streams": pending entries, XAUTOCLAIM
"""

import random
import threading
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from services.feature.stores import STORES_DOWN
from services.feature.worker_metrics import StreamFigures
from shared.storage.redis.stream_reader import Backlog, Entry

BATCH_SIZE = 500
BLOCK_MS = 500
CLAIM_IDLE_MS = 5000
FIRST_CLAIM_IDLE_MS = 500
"""at the start: what a worker that died just now had in its hands need not wait for long"""
CLAIM_EVERY_S = 1.0
CLAIM_SIZE = 2000
UPKEEP_EVERY_S = 5.0
MAX_DELIVERIES = 5
FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 5.0
MAX_REASON = 300

log = structlog.get_logger()


class EntryStream(Protocol):
    """The reading side of a stream: shared.storage.redis.stream_reader.StreamReader."""

    def ensure_group(self) -> None:
        """Create what is missing."""
        ...

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """Return new entries."""
        ...

    def claim_stale(self, consumer: str, min_idle_ms: int, count: int = ...) -> list[Entry]:
        """Take over entries that nobody acknowledged."""
        ...

    def acknowledge(self, entries: Iterable[Entry]) -> None:
        """Never see these again."""
        ...

    def dead_letter(self, entry: Entry, reason: str) -> None:
        """Put an entry aside and acknowledge it."""
        ...

    def trim_behind_pending(self) -> int:
        """Remove what is done."""
        ...

    def lag(self) -> Backlog:
        """Return what is left to do."""
        ...


@dataclass(frozen=True)
class Stored:
    """What became of entries, of this call or an earlier one."""

    finished: list[Entry] = field(default_factory=list)
    """everything they change is changed"""
    refused: list[tuple[Entry, str]] = field(default_factory=list)
    """never to be stored, with the reason"""


class EntryWriter(Protocol):
    """Where entries belong."""

    def store(self, entries: Sequence[Entry]) -> Stored:
        """Store all of them, or raise and store none."""
        ...

    def held(self) -> Container[str]:
        """Return the ids of entries stored whose effects are not complete yet."""
        ...


class StreamWorker:
    """One stream's loop. `run` belongs to one thread; `stop` may be called from any."""

    def __init__(
        self, stream: EntryStream, writer: EntryWriter, consumer: str, figures: StreamFigures, gather_s: float = 0.0
    ) -> None:
        self._stream = stream
        self._writer = writer
        self._consumer = consumer
        self._figures = figures
        self._gather_s = gather_s
        self._stopping = threading.Event()
        self._kept: list[Entry] = []
        self._claim_due_s = 0.0
        self._claim_idle_ms = FIRST_CLAIM_IDLE_MS
        self._upkeep_due_s = 0.0
        self.turned_at_s = time.monotonic()
        """when the last turn of the loop began"""

    def stop(self) -> None:
        """End the loop after the batch in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Turn until stopped; a store that is away costs a wait, never an entry."""
        wait_s = FIRST_BACKOFF_S
        while not self._stopping.is_set():
            self.turned_at_s = time.monotonic()
            try:
                self.turn()
                wait_s = FIRST_BACKOFF_S
            except STORES_DOWN as error:
                self._figures.stores_down.inc()
                log.warning("store_down", error=type(error).__name__, wait_s=wait_s, kept=len(self._kept))
                self._stopping.wait(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2 * wait_s, MAX_BACKOFF_S)

    def turn(self) -> None:
        """Take one batch all the way; a batch that a store's absence interrupted comes first."""
        self._keep_up()
        self._kept = self._kept or self._claimed() or self._stream.read(self._consumer, BATCH_SIZE, BLOCK_MS)
        for stored in self._store(self._kept):
            if stored.finished:
                self._stream.acknowledge(stored.finished)
            for entry, reason in stored.refused:
                self._bury(entry, reason)
        full = len(self._kept) >= BATCH_SIZE
        self._kept = []
        if not full and self._gather_s:
            self._stopping.wait(self._gather_s)

    def _store(self, entries: list[Entry]) -> Iterator[Stored]:
        """Store entries, all that can be."""
        try:
            stored = self._writer.store(entries)
        except STORES_DOWN:
            raise
        except Exception as error:  # whatever one entry provokes must not stop the others
            if not entries:
                raise
            if len(entries) == 1:
                self._put_aside(entries[0], error)
            else:
                middle = len(entries) // 2
                yield from self._store(entries[:middle])
                yield from self._store(entries[middle:])
        else:
            yield stored

    def _put_aside(self, entry: Entry, error: Exception) -> None:
        """Leave an entry that failed alone pending, or end its tries."""
        self._figures.failed_tries.inc()
        final = entry.deliveries >= MAX_DELIVERIES
        # The text of a database error can hold values, which do not belong in logs; the dead letter has them anyway.
        log.error("entry_failed", entry=entry.id, error=type(error).__name__, tries=entry.deliveries, final=final)
        if final:
            self._bury(entry, f"{type(error).__name__}: {error}")

    def _bury(self, entry: Entry, reason: str) -> None:
        """Put an entry among the dead letters."""
        self._stream.dead_letter(entry, reason[:MAX_REASON])
        self._figures.dead_letters.inc()

    def _claimed(self) -> list[Entry]:
        """Return entries of a worker that died, and our own that failed, when it is time to look for them."""
        now_s = time.monotonic()
        if now_s < self._claim_due_s:
            return []
        found = self._stream.claim_stale(self._consumer, self._claim_idle_ms, CLAIM_SIZE)
        self._claim_idle_ms = CLAIM_IDLE_MS
        self._claim_due_s = now_s + CLAIM_EVERY_S
        self._figures.claimed.inc(len(found))
        held = self._writer.held()
        return [entry for entry in found if entry.id not in held]

    def _keep_up(self) -> None:
        """Trim what is done and measure what is left, now and then."""
        now_s = time.monotonic()
        if now_s >= self._upkeep_due_s:
            self._stream.ensure_group()
            self._upkeep_due_s = now_s + UPKEEP_EVERY_S
            self._stream.trim_behind_pending()
            backlog = self._stream.lag()
            self._figures.unread.set(backlog.unread)
            self._figures.pending.set(backlog.pending)
