"""Which events are learned from and which are asked about, as places in the log.

Called by   protocols.py names the splits, data_sets/* choose among them
Leave-one-out   a user's last moment is the test, the last but one the validation, all before is training. A moment is
                an event (ties by position, then by row of the file), or a basket where the data set says so. A user
                with two moments has no validation, one with a single moment is learned from only
Time            two moments cut the log at 80 and 90 % of all events; asked is the last moment of everybody who did
                something in the period, with everything before it as the history ("last" target of time-to-split 2025)
Held back       the source names one purchase a user as the test, of users who keep another; validation is made alike:
                the last purchased item in training, with all its events taken out, of users who keep another
Sessions        whole sessions are held out by time; asked at their last event, or at every one
Errors          ProtocolError when the split needs times that the data set does not have
Dimensions      Q questions, E events, U users, G moments
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.quality.errors import ProtocolError
from benchmarks.quality.interactions import Interactions
from services.training.examples.event_log import EventLog, group_starts
from services.training.importing.times import NOT_A_TIME
from shared.features.events import PURCHASE_CODE, IntArray, LongArray
from shared.models.tensors import BoolArray

VALIDATION_QUANTILE, TEST_QUANTILE = 0.8, 0.9


@dataclass(frozen=True)
class Asked:
    """Questions as places: of the events that `read_E` keeps, the history is [start of the user, stop)."""

    read_E: BoolArray
    user_Q: LongArray
    stop_Q: LongArray
    """counted among the events that are read"""
    answer_Q: LongArray
    """first event of the answer, counted among all events"""
    targets: Sequence[IntArray]
    """item codes of the answer"""


@dataclass(frozen=True)
class Split:
    """Which events are learned from, and what is asked."""

    train_E: BoolArray
    refit_E: BoolArray
    validation: Asked
    test: Asked
    note: str


MakeSplit = Callable[[Interactions], Split]


def leave_one_out(interactions: Interactions) -> Split:
    """Hold out the last two moments of every user."""
    log = interactions.log
    moments = Moments.of(log, np.ones(len(log), np.bool_))
    user_E = log.user_E
    tests_U, validates_U = moments.count_U >= 2, moments.count_U >= 3
    refit_E = ~((moments.from_last_E == 0) & tests_U[user_E])
    train_E = refit_E & ~((moments.from_last_E == 1) & validates_U[user_E])
    validation = moments.asked(np.flatnonzero(validates_U), 1)
    test = moments.asked(np.flatnonzero(tests_U), 0)
    return Split(train_E, refit_E, validation, test, "leave-one-out: last = test, last but one = validation")


def global_time(interactions: Interactions) -> Split:
    """Cut everybody's log at the same two moments."""
    log, real_ms_E = interactions.log, interactions.real_ms_E
    if (real_ms_E == NOT_A_TIME).any():
        raise ProtocolError("a split by time needs the time of every event, and the data set does not have it")
    validation_ms, test_ms = np.quantile(real_ms_E, (VALIDATION_QUANTILE, TEST_QUANTILE), method="lower").tolist()
    train_E, refit_E = real_ms_E < validation_ms, real_ms_E < test_ms
    validation = Moments.of(log, refit_E).asked(_who(log, refit_E & ~train_E), 0)
    test = Moments.of(log, np.ones(len(log), np.bool_)).asked(_who(log, ~refit_E), 0)
    note = f"global time split at {VALIDATION_QUANTILE:.0%} and {TEST_QUANTILE:.0%} of the events, last target"
    return Split(train_E, refit_E, validation, test, note)


def held_back(interactions: Interactions, held_E: BoolArray) -> Split:
    """Ask for one purchase a user that the source holds back; validation holds one back in the same way."""
    log = interactions.log
    user_E, row_E = log.user_E, log.events.row_E
    bought_E = np.flatnonzero(~held_E & (log.events.type_E == PURCHASE_CODE))
    answer_U = np.full(log.num_users, -1, np.int64)
    answer_U[user_E[bought_E]] = bought_E  # ascending in time: the last one stays
    item_U = row_E[answer_U]  # of users who bought nothing, any: they are not asked
    kept_E = bought_E[row_E[bought_E] != item_U[user_E[bought_E]]]
    asked_U = np.unique(user_E[kept_E]).astype(np.int64)
    asks_U = np.isin(np.arange(log.num_users), asked_U)
    train_E = ~held_E & ~(asks_U[user_E] & (row_E == item_U[user_E]))
    return Split(
        train_E,
        ~held_E,
        _asked_at_end(log, train_E, asked_U, answer_U[asked_U]),
        _asked_at_end(log, ~held_E, user_E[held_E].astype(np.int64), np.flatnonzero(held_E)),
        "the purchase that the source holds back; validation: the last purchased item of users with another one left, "
        "all its events taken out",
    )


def sessions(interactions: Interactions, part_U: IntArray, every_place: bool) -> Split:
    """Hold out whole sessions: part 0 is training, 1 validation, 2 test."""
    log = interactions.log
    part_E = part_U[log.user_E]
    which = "every event after the first" if every_place else "the last event"
    validation = _asked_in_sessions(log, part_E == 1, every_place)
    test = _asked_in_sessions(log, part_E == 2, every_place)
    return Split(part_E == 0, part_E < 2, validation, test, f"whole sessions held out by time; asked for {which}")


@dataclass(frozen=True)
class Moments:
    """The events of one user that share one place in the order, counted from the user's last."""

    log: EventLog
    read_E: BoolArray
    start_G: LongArray
    stop_G: LongArray
    count_U: LongArray
    from_last_E: LongArray
    """0 for the user's last moment, 1 for the one before"""

    @staticmethod
    def of(whole: EventLog, read_E: BoolArray) -> "Moments":
        """Find the moments of the events that are read; `whole` has times that tell the order and nothing else."""
        log = whole.where(read_E)
        user_E = log.user_E
        start_G = group_starts(user_E, log.events.at_ms_E)
        stop_G = np.append(start_G[1:], len(user_E)).astype(np.int64)
        user_G = user_E[start_G]
        count_U = np.bincount(user_G, minlength=log.num_users)
        from_last_G = (np.cumsum(count_U) - 1)[user_G] - np.arange(len(start_G))
        return Moments(log, read_E, start_G, stop_G, count_U, np.repeat(from_last_G, stop_G - start_G))

    def asked(self, user_Q: LongArray, from_last: int) -> Asked:
        """Ask users for the moment that is so many places from their last."""
        group_Q = (np.cumsum(self.count_U) - 1)[user_Q] - from_last
        start_Q, stop_Q = self.start_G[group_Q], self.stop_G[group_Q]
        row_E = self.log.events.row_E
        targets = [row_E[start:stop] for start, stop in zip(start_Q.tolist(), stop_Q.tolist(), strict=True)]
        return Asked(self.read_E, user_Q, start_Q, np.flatnonzero(self.read_E)[start_Q], targets)


def _who(log: EventLog, mask_E: BoolArray) -> LongArray:
    return np.unique(log.user_E[mask_E]).astype(np.int64)


def _asked_at_end(log: EventLog, read_E: BoolArray, user_Q: LongArray, answer_Q: LongArray) -> Asked:
    stop_Q = log.where(read_E).start_U1[user_Q + 1]
    return Asked(read_E, user_Q, stop_Q, answer_Q, [log.events.row_E[[place]] for place in answer_Q.tolist()])


def _asked_in_sessions(log: EventLog, held_E: BoolArray, every_place: bool) -> Asked:
    size_U = np.diff(log.start_U1)
    first_E, last_E = np.zeros(len(log), np.bool_), np.zeros(len(log), np.bool_)
    first_E[log.start_U1[:-1][size_U > 0]] = True
    last_E[log.start_U1[1:][size_U > 0] - 1] = True
    place_Q = np.flatnonzero(held_E & ~first_E & (last_E | every_place))
    targets = [log.events.row_E[[place]] for place in place_Q.tolist()]
    return Asked(np.ones(len(log), np.bool_), log.user_E[place_Q].astype(np.int64), place_Q, place_Q, targets)
