"""Any order of events, repetitions, readers and crashes: what was accepted is stored once, and online equals a recount.

The loop, the writer and the way into the online state are the real ones; the stores are in memory and may end the
process at any of the steps between them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import TypeAdapter

import services.feature.stream_worker as loop
from services.feature.event_store import EventStore
from services.feature.event_writer import EventWriter
from services.feature.stream_worker import StreamWorker
from services.feature.worker_metrics import WorkerMetrics
from shared.contracts.events import EventType, StoredEvent
from shared.service.metrics import ServiceMetrics
from shared.storage.history import HistoryEvent, history_event
from shared.storage.redis.stream_reader import Entry
from shared.storage.relational.interactions import InsertOutcome
from tests.unit.feature.fakes import FakeStream

SHOPPERS = ("u:1", "u:2", "v:3")
STEPS = ("commit", "apply", "forget", "acknowledge", None)
_lines = TypeAdapter(list[StoredEvent])


class Crash(BaseException):
    """SIGKILL: nothing in the process sees it coming."""


class Fuse:
    """Ends the process at one step, before or after what the step does."""

    def __init__(self) -> None:
        self.step: str | None = None
        self.after = False

    def pass_by(self, step: str, *, after: bool) -> None:
        if self.step == step and self.after == after:
            self.step = None
            raise Crash


class Stream(FakeStream):
    """A stream whose acknowledgement may be the last thing a process did."""

    fuse: Fuse

    def acknowledge(self, entries: Iterable[Entry]) -> None:
        self.fuse.pass_by("acknowledge", after=False)
        super().acknowledge(entries)
        self.fuse.pass_by("acknowledge", after=True)


class Online:
    """States in memory; absent unless complete."""

    def __init__(self, fuse: Fuse) -> None:
        self.states: dict[str, set[HistoryEvent]] = {}
        self.fuse = fuse
        self.down = False

    def apply(self, events_of: Mapping[str, Sequence[HistoryEvent]]) -> None:
        self._check("apply", after=False)
        for user_key, events in events_of.items():
            if user_key in self.states:
                self.states[user_key] |= set(events)
        self._check("apply", after=True)

    def forget(self, user_keys: Iterable[str]) -> None:
        self._check("forget", after=False)
        for user_key in user_keys:
            self.states.pop(user_key, None)
        self._check("forget", after=True)

    def _check(self, step: str, *, after: bool) -> None:
        if self.down:
            raise ConnectionError
        self.fuse.pass_by(step, after=after)


class Database(EventStore):
    """The real way into the online state behind a table in memory."""

    def __init__(self, online: Online, fuse: Fuse) -> None:
        super().__init__(None, online)  # type: ignore[arg-type]
        self.rows: list[StoredEvent] = []
        self.fuse = fuse
        self.down = False

    def insert(self, events: Sequence[StoredEvent]) -> InsertOutcome:
        if self.down:
            raise ConnectionError
        self.fuse.pass_by("commit", after=False)
        outcome = InsertOutcome()
        for event in events:
            known = any(row.event_id == event.event_id for row in self.rows)
            (outcome.duplicates if known else outcome.new).append(event)
            self.rows += [] if known else [event]
        self.fuse.pass_by("commit", after=True)
        return outcome

    def _forget_departed(self, first_event_at: Mapping[str, datetime]) -> None:
        """Nobody is erased here."""

    def history(self, user_key: str) -> set[HistoryEvent]:
        return {history_event(row) for row in self.rows if row.user_key == user_key}


class Ingest(RuleBasedStateMachine):
    """The worker with everything that can happen to it."""

    @initialize()
    def begin(self) -> None:
        self.fuse = Fuse()
        self.stream = Stream()
        self.stream.fuse = self.fuse
        self.online = Online(self.fuse)
        self.database = Database(self.online, self.fuse)
        self.accepted: dict[str, str] = {}
        self.start_worker()

    def start_worker(self) -> None:
        figures = WorkerMetrics(ServiceMetrics("ingest")).of("events")
        self.worker = StreamWorker(
            self.stream, EventWriter(self.database, figures, lambda _new: None, lambda _ids: None), "me", figures
        )

    @rule(number=st.integers(0, 30), shopper=st.sampled_from(SHOPPERS), lines=st.integers(1, 3))
    def accept(self, number: int, shopper: str, lines: int) -> None:
        """The gateway appends an event whose id it has not seen."""
        if any(line_id.startswith(f"{number}#") for line_id in self.accepted):
            return
        made = [stored_event(f"{number}#{line}", shopper) for line in range(lines)]
        self.accepted |= {line.event_id: shopper for line in made}
        self.stream.add(_lines.dump_json(made))

    @rule(step=st.sampled_from(STEPS), after=st.booleans())
    def turn(self, step: str | None, after: bool) -> None:
        """The worker takes a batch, and may be killed at a step; another process takes its place."""
        self.fuse.step, self.fuse.after = step, after
        try:
            self.worker.turn()
        except Crash:
            self.start_worker()
        except ConnectionError:
            pass
        self.fuse.step = None

    @rule(shopper=st.sampled_from(SHOPPERS))
    def read(self, shopper: str) -> None:
        """A reader rebuilds a state that is missing."""
        if not self.online.down:
            self.online.states.setdefault(shopper, self.database.history(shopper))

    @rule(database=st.booleans(), cache=st.booleans())
    def stores_come_and_go(self, database: bool, cache: bool) -> None:
        """A store goes away or comes back."""
        self.database.down, self.online.down = database, cache

    @invariant()
    def nothing_is_stored_twice_or_unasked(self) -> None:
        """Hold at every moment."""
        stored = [row.event_id for row in self.database.rows] if hasattr(self, "database") else []
        assert len(stored) == len(set(stored))
        assert set(stored) <= set(self.accepted) if stored else True

    def teardown(self) -> None:
        """Everything is back and the worker finishes: all is stored, nothing waits, online equals a recount."""
        self.database.down = self.online.down = False
        for _ in range(3):
            self.worker.turn()
        assert {row.event_id: row.user_key for row in self.database.rows} == self.accepted
        assert (self.stream.unread, self.stream.pending, self.stream.dead) == ([], {}, {})
        recount = defaultdict(set, {shopper: self.database.history(shopper) for shopper in SHOPPERS})
        assert all(state == recount[shopper] for shopper, state in self.online.states.items())


def stored_event(event_id: str, user_key: str) -> StoredEvent:
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    return StoredEvent(
        event_id=event_id,
        type=EventType.VIEW,
        user_key=user_key,
        item_id="shoe",
        occurred_at=moment,
        received_at=moment,
        quantity=1.0,
        price=None,
        value=None,
        session_id=None,
        order_id=None,
        recommendation_id=None,
        position=None,
        currency=None,
        context={},
    )


@pytest.fixture(autouse=True, scope="module")
def no_waiting() -> Iterable[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CLAIM_EVERY_S", 0.0)
        patch.setattr("services.feature.event_writer.SHOW_AGAIN_S", 0.0)
        yield


TestIngest = Ingest.TestCase
TestIngest.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
