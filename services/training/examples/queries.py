"""Point-in-time questions: what would have been asked just before a basket, and what was in it.

Called by   services/training/fusion (validation period), services/training/evaluation (test period),
            services/training/sequence (early stopping)
Question    one shopper and one distinct time of the period at which something was bought (in a shop without purchases:
            any positive event); the answer is everything bought at that time
Rule        the past of a question is events_before(log, as_of), so events of the same basket are never seen
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np

from services.training.examples.encoding import counted_events
from services.training.examples.event_log import EventLog, group_starts
from shared.contracts.internal import Profile
from shared.contracts.recommendation import Context
from shared.features.candidates import Query
from shared.features.catalogue import Catalogue
from shared.features.context import context_features
from shared.features.events import EMPTY_WINDOW, EventWindow, IntArray, events_before
from shared.features.user import NO_FEATURES, user_features


@dataclass(frozen=True)
class Question:
    """One moment of one shopper."""

    user: int
    as_of_ms: int
    target_row_T: IntArray
    """catalogue rows bought at that time, each once, ascending"""
    context: Context


def find_questions(log: EventLog, from_ms: int, to_ms: int, limit: int, seed: int) -> list[Question]:
    """Return at most `limit` questions of [from_ms, to_ms), a random sample, in the order of the log."""
    counted_E = counted_events(log) & (log.events.at_ms_E >= from_ms) & (log.events.at_ms_E < to_ms)
    period = log.where(counted_E)
    user_E, events = period.user_E, period.events
    start_G = group_starts(user_E, events.at_ms_E)
    stop_G = np.append(start_G[1:], len(user_E)).astype(np.int64)
    chosen = np.arange(len(start_G))
    if len(chosen) > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(len(start_G), limit, replace=False))
    return [
        Question(
            int(user_E[start]),
            int(events.at_ms_E[start]),
            np.unique(events.row_E[start:stop]).astype(np.int32),
            period.contexts[int(period.context_E[start])],
        )
        for start, stop in zip(start_G[chosen].tolist(), stop_G[chosen].tolist(), strict=True)
    ]


@dataclass(frozen=True)
class QueryMaker:
    """Makes the Query that serving would have made at the time of a question."""

    log: EventLog
    catalogue: Catalogue
    profiles: Mapping[str, Profile]
    zone: tzinfo

    def window(self, question: Question) -> EventWindow:
        """Return the events that serving would have read."""
        return events_before(self.log.of(question.user), question.as_of_ms)

    def query(self, question: Question) -> Query:
        """Return the shopper's state and the moment, strictly before the answer."""
        window = self.window(question)
        return Query(
            window,
            user_features(window, self.catalogue, question.as_of_ms),
            context_features(question.context, question.as_of_ms, self.zone),
            self.profiles.get(self.log.user_keys[question.user]),
            question.as_of_ms,
        )

    def stranger(self, question: Question) -> Query:
        """Return what serving would have known had the shopper been new: the moment and the place, nothing else."""
        context = context_features(question.context, question.as_of_ms, self.zone)
        return Query(EMPTY_WINDOW, NO_FEATURES, context, None, question.as_of_ms)

    def bought_before(self, question: Question) -> IntArray:
        """Return the rows that the shopper was positive about at any time before, also outside the window."""
        events = self.log.of(question.user)
        past = events.slice(0, int(np.searchsorted(events.at_ms_E, question.as_of_ms, side="left")))
        return np.unique(past.positive().row_E)


def with_history(questions: Sequence[Question], maker: QueryMaker) -> list[Question]:
    """Return the questions of shoppers who have a past."""
    return [question for question in questions if len(maker.window(question).positive())]
