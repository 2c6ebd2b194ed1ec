"""From a data set to a benchmark: what is learned from, what is asked, in which track.

Called by   __main__.py; splits.py says which events are which
Ranking     over all items of the data set, without those of the history where the set hides seen items; never against
            sampled negatives. An answer that was seen before cannot be asked then, and is counted
Track       "no-query-time": times are one second from moment to moment, so that they tell the order and nothing else.
            "past-times": real times of what a user did, asked right after it; the moment of the answer stays unknown.
            "query-time": real times, and the moment of the question is that of its answer
Errors      ProtocolError
Dimensions  Q questions, E events
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.quality.errors import ProtocolError
from benchmarks.quality.findings import Finding, found
from benchmarks.quality.interactions import STEP_MS, Interactions
from benchmarks.quality.splits import Asked, MakeSplit
from benchmarks.quality.task import QualityTask, Questions
from services.training.examples.event_log import EventLog
from services.training.examples.sequences import Sequences, build_sequences
from services.training.importing.times import NOT_A_TIME
from shared.features.events import IntArray, LongArray
from shared.models.tensors import BoolArray, History

NO_QUERY_TIME, PAST_TIMES, QUERY_TIME = TRACKS = ("no-query-time", "past-times", "query-time")


@dataclass(frozen=True)
class Benchmark:
    """A task with its test questions."""

    task: QualityTask
    test: Questions
    target_hash: str
    findings: tuple[Finding, ...]
    note: str
    """how the questions are made, for the reader of the page"""


def make_benchmark(interactions: Interactions, split: MakeSplit, hide_seen: bool, track: str) -> Benchmark:
    """Return the task of a data set under a protocol."""
    parts = split(interactions)
    log = log_of_track(interactions, parts.refit_E, track)
    knows_time = track == QUERY_TIME
    validation, validation_findings = Asker(log, hide_seen, knows_time, "validation").ask(parts.validation)
    test, test_findings = Asker(log, hide_seen, knows_time, "test").ask(parts.test)
    if not len(test) or not len(validation):
        raise ProtocolError(f"{len(validation)} validation and {len(test)} test questions: nothing to measure")
    task = QualityTask(
        interactions.catalogue,
        sequences_of(log, parts.train_E),
        validation,
        sequences_of(log, parts.refit_E),
        timed_sequences_of(interactions, parts.train_E),
        timed_sequences_of(interactions, parts.refit_E),
    )
    findings = (*interactions.findings, *validation_findings, *test_findings, *only_in_test(task, test))
    return Benchmark(task, test, target_hash(interactions, test), findings, parts.note)


def log_of_track(interactions: Interactions, past_E: BoolArray, track: str) -> EventLog:
    """Return the log with the times of a track; ProtocolError when the data set does not have them.

    `past_E` are the events that are learned from: "past-times" needs no others.
    """
    if track not in TRACKS:
        raise ProtocolError(f"there is no track {track!r}: choose from {', '.join(TRACKS)}")
    if track == NO_QUERY_TIME:
        return interactions.log
    untimed_E = interactions.real_ms_E == NOT_A_TIME
    if (untimed_E & past_E if track == PAST_TIMES else untimed_E).any():
        whose = "every event before the test" if track == PAST_TIMES else "every event"
        raise ProtocolError(f"the track {track} needs the time of {whose}, and the data set does not have it")
    return with_times(interactions.log, interactions.real_ms_E)


def with_times(log: EventLog, at_ms_E: LongArray) -> EventLog:
    """Return the log with other times."""
    return replace(log, events=replace(log.events, at_ms_E=at_ms_E))


def sequences_of(log: EventLog, mask_E: BoolArray) -> Sequences:
    """Return the events of a mask as training reads them; item codes are catalogue rows."""
    num_items = int(log.events.row_E.max()) + 1
    return build_sequences(log.where(mask_E), np.arange(num_items, dtype=np.int32))


def timed_sequences_of(interactions: Interactions, mask_E: BoolArray) -> Sequences | None:
    """Return the same with real times; None where one is unknown."""
    if (interactions.real_ms_E[mask_E] == NOT_A_TIME).any():
        return None
    return sequences_of(with_times(interactions.log, interactions.real_ms_E), mask_E)


@dataclass(frozen=True)
class Asker:
    """Makes questions out of places in the log, and counts those that cannot be asked."""

    log: EventLog
    hide_seen: bool
    knows_time: bool
    part: str

    def ask(self, asked: Asked) -> tuple[Questions, tuple[Finding, ...]]:
        """Return the questions; none is left out without being counted."""
        log = self.log.where(asked.read_E)
        start_Q = log.start_U1[asked.user_Q]
        pasts = [self._past(log, *row) for row in zip(start_Q, asked.stop_Q, asked.answer_Q, strict=True)]
        answers = [self._rankable(past, target_T) for past, target_T in zip(pasts, asked.targets, strict=True)]
        has_past_Q = np.array([len(past) > 0 for past in pasts], np.bool_)
        has_answer_Q = np.array([len(answer) > 0 for answer in answers], np.bool_)
        places = np.flatnonzero(has_past_Q & has_answer_Q).tolist()
        findings = found(f"{self.part} questions without a history", (~has_past_Q).sum(), "not asked")
        findings += found(
            f"{self.part} questions whose answer was seen before",
            (has_past_Q & ~has_answer_Q).sum(),
            "not asked: only new items are ranked",
        )
        histories, targets = tuple(pasts[place] for place in places), tuple(answers[place] for place in places)
        return Questions(histories, targets, asked.user_Q[places], self.hide_seen), findings

    def _past(self, log: EventLog, start: int, stop: int, answer: int) -> History:
        events = log.events.slice(start, stop)
        newest_ms = int(events.at_ms_E[-1]) if len(events) else 0
        as_of_ms = int(self.log.events.at_ms_E[answer]) if self.knows_time else newest_ms + STEP_MS
        return History(events.row_E, events.type_E, events.at_ms_E, as_of_ms)

    def _rankable(self, past: History, target_T: IntArray) -> IntArray:
        unique_T = np.unique(target_T).astype(np.int32)
        return unique_T[~np.isin(unique_T, past.code_L)] if self.hide_seen else unique_T


def only_in_test(task: QualityTask, test: Questions) -> tuple[Finding, ...]:
    """Count answers that no model can have learned."""
    known_V = np.bincount(task.refit.code_E, minlength=task.num_items) > 0
    cold = [code for target_T in test.targets for code in target_T.tolist() if not known_V[code]]
    first = f"item {task.catalogue.items[cold[0]].item_id}" if cold else ""
    return found(
        "test answers on an item that is only in the test", len(cold), "asked, and ranked with all others", first
    )


def target_hash(interactions: Interactions, test: Questions) -> str:
    """Return a hash of every test answer: user and items by their names, in order."""
    names, items = interactions.log.user_keys, interactions.catalogue.items
    digest = hashlib.sha256()
    for user, target_T in zip(test.user_Q.tolist(), test.targets, strict=True):
        digest.update("\t".join([names[user], *(items[code].item_id for code in target_T.tolist())]).encode() + b"\n")
    return digest.hexdigest()
