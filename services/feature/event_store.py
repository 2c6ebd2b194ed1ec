"""Make accepted events count: in Postgres, once, and then in the online state of their shoppers.

Called by   event_writer.py (the ingest worker), routes.py (POST /events/insert, while the event stream is away): the
            same code, so the rarely used way is not a rarely run one
Order       1. receipts and interactions, one transaction   2. online state
            A process killed between 1 and 2 is found out by step 1 of the next try: events known already may or may not
            have reached the online state, so the state of their shoppers is dropped and rebuilt by the next reader
Erasure     a shopper may be erased or merged between 1 and 2; step 2 looks again behind itself, so that whichever comes
            last, the online state of that shopper is dropped
Errors      STORAGE_DOWN_ERRORS from step 1, STORE_ERRORS from step 2; each step may be repeated
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from shared.contracts.events import StoredEvent
from shared.storage.history import history_event
from shared.storage.redis.user_state import OnlineStateWriter
from shared.storage.relational.engine import Engine
from shared.storage.relational.event_rows import shopper_fate
from shared.storage.relational.interactions import InsertOutcome, insert_once


class EventStore:
    """Both places of one install. Synchronous: it belongs to a thread."""

    def __init__(self, engine: Engine, online: OnlineStateWriter) -> None:
        self._engine = engine
        self._online = online

    def insert(self, events: Sequence[StoredEvent]) -> InsertOutcome:
        """Step 1: commit the events that are new."""
        with self._engine.begin() as connection:
            return insert_once(connection, events)

    def show(self, outcomes: Iterable[InsertOutcome]) -> None:
        """Step 2: let the next recommendation see what was inserted."""
        new: dict[str, list[StoredEvent]] = defaultdict(list)
        uncertain: set[str] = set()
        for outcome in outcomes:
            uncertain.update(event.user_key for event in outcome.duplicates)
            for event in outcome.new:
                new[event.user_key].append(event)
        certain = {user_key: events for user_key, events in new.items() if user_key not in uncertain}
        if uncertain:
            self._online.forget(uncertain)
        if certain:
            self._online.apply({key: [history_event(event) for event in events] for key, events in certain.items()})
            self._forget_departed({key: min(event.occurred_at for event in certain[key]) for key in certain})

    def _forget_departed(self, first_event_at: Mapping[str, datetime]) -> None:
        """Drop what was just shown of shoppers who were erased or merged after the insert."""
        with self._engine.connect() as connection:
            fate = shopper_fate(connection, first_event_at)
        departed = [key for key, moment in first_event_at.items() if fate.owner(key, moment) != key]
        if departed:
            self._online.erase(departed)
