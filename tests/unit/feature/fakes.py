"""A stream and a writer in memory, with the same promises as the real ones."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from services.feature.stream_worker import Stored
from shared.storage.redis.stream_reader import Backlog, Entry


@dataclass
class FakeStream:
    """Entries are new, then pending, then acknowledged or dead; every claim counts as a delivery."""

    unread: list[Entry] = field(default_factory=list)
    pending: dict[str, Entry] = field(default_factory=dict)
    acknowledged: list[str] = field(default_factory=list)
    dead: dict[str, str] = field(default_factory=dict)
    down: bool = False

    def add(self, *payloads: bytes) -> None:
        """Append entries."""
        for payload in payloads:
            number = len(self.unread) + len(self.pending) + len(self.acknowledged) + len(self.dead) + 1
            self.unread.append(Entry("events:0", f"{number}-0", payload, deliveries=1))

    def ensure_group(self) -> None:
        """Nothing to create."""

    def read(self, consumer: str, count: int, block_ms: int) -> list[Entry]:
        """Hand out new entries."""
        self._check()
        taken, self.unread = self.unread[:count], self.unread[count:]
        self.pending |= {entry.id: entry for entry in taken}
        return taken

    def claim_stale(self, consumer: str, min_idle_ms: int, count: int = 1000) -> list[Entry]:
        """Hand out pending entries again."""
        self._check()
        taken = [replace(entry, deliveries=entry.deliveries + 1) for entry in list(self.pending.values())[:count]]
        self.pending |= {entry.id: entry for entry in taken}
        return taken

    def acknowledge(self, entries: Iterable[Entry]) -> None:
        """Forget entries that were pending."""
        self._check()
        for entry in entries:
            if self.pending.pop(entry.id, None):
                self.acknowledged.append(entry.id)

    def dead_letter(self, entry: Entry, reason: str) -> None:
        """Put aside."""
        self._check()
        del self.pending[entry.id]
        self.dead[entry.id] = reason

    def trim_behind_pending(self) -> int:
        """Nothing to trim."""
        return 0

    def lag(self) -> Backlog:
        """Return what is left."""
        return Backlog(len(self.unread), len(self.pending))

    def _check(self) -> None:
        if self.down:
            raise ConnectionError("the stream is away")


@dataclass
class FakeWriter:
    """Stores payloads; `refuse` says which exception an entry provokes."""

    refuse: Callable[[Entry], Exception | None] = lambda entry: None
    stored: list[bytes] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def store(self, entries: Sequence[Entry]) -> Stored:
        """Store all or none."""
        self.calls.append(len(entries))
        for entry in entries:
            error = self.refuse(entry)
            if error is not None:
                raise error
        self.stored += [entry.payload for entry in entries]
        return Stored(list(entries))

    def held(self) -> set[str]:
        """Nothing waits."""
        return set()
