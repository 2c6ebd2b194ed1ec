"""The whole event log as columns, one shopper's events after the other: what training computes on.

Called by   services/training (every step)
Order       by (shopper, time, event id), the order in which serving sees one shopper's events
Dimensions  E events, U shoppers
Time        `before` cuts the log strictly before a moment, as shared.features.events.events_before does for one shopper
"""

from dataclasses import dataclass

import numpy as np

from services.training.errors import TooLittleDataError
from shared.contracts.recommendation import Context
from shared.features.events import EventWindow, FloatArray, IntArray, LongArray
from shared.models.tensors import BoolArray


@dataclass(frozen=True)
class EventLog:
    """Events of all shoppers; shopper u has the events start_U1[u] to start_U1[u + 1]."""

    user_keys: tuple[str, ...]
    start_U1: LongArray
    events: EventWindow
    value_E: FloatArray
    """stars of a rating, else money or NaN"""
    contexts: tuple[Context, ...]
    """the distinct contexts of the log, as features read them"""
    context_E: IntArray
    """place of each event's context in `contexts`"""

    def __len__(self) -> int:
        return len(self.events)

    @property
    def num_users(self) -> int:
        """Number of shoppers, with or without events."""
        return len(self.user_keys)

    @property
    def user_E(self) -> IntArray:
        """Index of the shopper of each event."""
        return np.repeat(np.arange(self.num_users, dtype=np.int32), np.diff(self.start_U1))

    @property
    def last_ms(self) -> int:
        """Time of the newest event; TooLittleDataError when there is none."""
        if not len(self.events):
            raise TooLittleDataError("the event log is empty")
        return int(self.events.at_ms_E.max())

    def of(self, user: int) -> EventWindow:
        """Return one shopper's events, oldest first."""
        return self.events.slice(int(self.start_U1[user]), int(self.start_U1[user + 1]))

    def before(self, as_of_ms: int) -> "EventLog":
        """Return the events strictly before `as_of_ms`; all shoppers stay, some without events."""
        return self.where(self.events.at_ms_E < as_of_ms)

    def where(self, mask_E: BoolArray) -> "EventLog":
        """Return the events that the mask keeps, in order."""
        kept_E1 = np.concatenate([[0], np.cumsum(mask_E)])
        return EventLog(
            self.user_keys,
            kept_E1[self.start_U1].astype(np.int64),
            self.events.where(mask_E),
            self.value_E[mask_E],
            self.contexts,
            self.context_E[mask_E],
        )


def group_starts(user_E: IntArray, at_ms_E: LongArray, gap_ms: int = 0) -> LongArray:
    """Return where each basket or session starts: another shopper, or more than `gap_ms` after the event before.

    With `gap_ms` 0 a group is what shares one time: a basket.
    """
    if not len(user_E):
        return np.empty(0, np.int64)
    new_E = (user_E[1:] != user_E[:-1]) | (np.diff(at_ms_E) > gap_ms)
    return np.flatnonzero(np.concatenate([[True], new_E])).astype(np.int64)
