"""Cut every shopper's history into the windows that the sequence Transformer is trained on.

Called by   services/training/sequence/trainer.py (batches), services/training/pipeline.py (makes Sequences)
Query       the last event of every distinct time: there the model is asked what comes at the NEXT distinct time. In a
            shop of baskets that is the whole next basket, with distinct times simply the next item
Windows     `max_length` events each, cut at a random phase every epoch, so that an event is seen with longer and
            shorter pasts; within a batch all have about one length, and a batch has about `tokens` events
Dimensions  E events, B windows, L events of a window, Q queries of a batch, M targets of a query
Source      next-item setting of SASRec (Kang and McAuley 2018, section 3), with baskets as in shared/models/encoder.py
"""

from dataclasses import dataclass

import numpy as np

from services.training.examples.event_log import EventLog, group_starts
from shared.features.events import POSITIVE_CODES, FloatArray, IntArray, LongArray
from shared.models.tensors import PAD_CODE, BoolArray, History, HistoryBatch

BATCHES_PER_SORT = 16
"""windows are sorted by length inside runs of this many batches: little padding, and still a shuffled epoch"""


@dataclass(frozen=True)
class Sequences:
    """Positive events on known items; shopper u has the events start_U1[u] to start_U1[u + 1]."""

    start_U1: LongArray
    code_E: IntArray
    type_E: np.ndarray[tuple[int], np.dtype[np.int8]]
    at_ms_E: LongArray
    next_start_E: LongArray
    """first event of the shopper's next distinct time"""
    next_stop_E: LongArray
    """one behind its last; equal to next_start_E when there is no next time"""

    def __len__(self) -> int:
        return len(self.code_E)

    def history(self, start: int, stop: int) -> History:
        """Return events [start, stop) with ages counted from the last of them."""
        return History(
            self.code_E[start:stop], self.type_E[start:stop], self.at_ms_E[start:stop], int(self.at_ms_E[stop - 1])
        )


@dataclass(frozen=True)
class TrainingBatch:
    """Windows, the places in them that ask, and what the answer was."""

    windows: HistoryBatch
    query_age_s_BL: FloatArray
    """age of the moment each event is asked about: of the next distinct time"""
    row_Q: LongArray
    place_Q: LongArray
    target_QM: LongArray
    target_mask_QM: BoolArray

    def share(self, rank: int, world: int) -> "TrainingBatch":
        """Return every world-th window from the rank-th on, with its queries; the batch itself in a world of one.

        A batch with fewer windows than processes gives the spare ones its first window without a query.
        """
        if world == 1:
            return self
        row_B = np.arange(rank, len(self.query_age_s_BL), world)
        mine_Q = self.row_Q % world == rank
        row_B = row_B if len(row_B) else np.zeros(1, np.int64)
        whole = self.windows
        windows = HistoryBatch(whole.code_BL[row_B], whole.type_BL[row_B], whole.age_s_BL[row_B], whole.mask_BL[row_B])
        return TrainingBatch(
            windows,
            self.query_age_s_BL[row_B],
            self.row_Q[mine_Q] // world,
            self.place_Q[mine_Q],
            self.target_QM[mine_Q],
            self.target_mask_QM[mine_Q],
        )


def build_sequences(log: EventLog, code_of_row_N: IntArray) -> Sequences:
    """Return the positive events on known items, each with where the next distinct time lies."""
    row_E = log.events.row_E
    known_E = (row_E >= 0) & (code_of_row_N[row_E] >= 0) & np.isin(log.events.type_E, POSITIVE_CODES)
    positive = log.where(known_E)
    events, user_E = positive.events, positive.user_E
    start_G = group_starts(user_E, events.at_ms_E)
    stop_G = np.append(start_G, len(user_E))[1:].astype(np.int64)
    next_stop_G = np.append(stop_G, 0)[1:]
    has_next_G = np.append(user_E[start_G], -1)[1:] == user_E[start_G]
    next_stop_G = np.where(has_next_G, next_stop_G, stop_G)
    size_G = stop_G - start_G
    return Sequences(
        positive.start_U1,
        code_of_row_N[events.row_E],
        events.type_E,
        events.at_ms_E,
        np.repeat(stop_G, size_G),
        np.repeat(next_stop_G, size_G),
    )


def cut_windows(
    sequences: Sequences, max_length: int, random: np.random.Generator, from_ms: int | None = None
) -> LongArray:
    """Return [W, 2] bounds of windows with at least one query; with `from_ms`, only those whose answer is that new."""
    start_U, size_U = sequences.start_U1[:-1], np.diff(sequences.start_U1)
    phase_U = random.integers(1, max_length + 1, len(start_U))
    # A history that fits stays whole; a longer one is cut at its phase, and then every max_length events.
    pieces_U = np.where(size_U <= max_length, 1, 1 + -(-(size_U - phase_U) // max_length))
    piece_W = np.arange(pieces_U.sum()) - np.repeat(np.cumsum(pieces_U) - pieces_U, pieces_U)
    user_W = np.repeat(np.arange(len(start_U)), pieces_U)
    first_W = np.where(piece_W > 0, phase_U[user_W] + (piece_W - 1) * max_length, 0)
    last_W = np.minimum(phase_U[user_W] + piece_W * max_length, size_U[user_W])
    last_W = np.where(pieces_U[user_W] == 1, size_U[user_W], last_W)
    window_W2 = (start_U[user_W, None] + np.column_stack([first_W, last_W])).astype(np.int64)
    asks_E = sequences.next_stop_E > sequences.next_start_E
    if from_ms is not None and len(sequences):
        next_ms_E = sequences.at_ms_E[np.minimum(sequences.next_start_E, len(sequences) - 1)]
        asks_E &= next_ms_E >= from_ms
    asked_E1 = np.concatenate([[0], np.cumsum(asks_E)])
    asking_W2: LongArray = window_W2[asked_E1[window_W2[:, 1]] > asked_E1[window_W2[:, 0]]]
    return asking_W2


def batch_bounds(window_W2: LongArray, tokens: int, random: np.random.Generator) -> list[LongArray]:
    """Return the windows of each batch, shuffled, with similar lengths together; at most `tokens` events a batch."""
    shuffled = window_W2[random.permutation(len(window_W2))]
    length_W = shuffled[:, 1] - shuffled[:, 0]
    run = max(1, BATCHES_PER_SORT * tokens // max(1, int(length_W.mean()))) if len(length_W) else 1
    order = np.concatenate(
        [first + np.argsort(length_W[first : first + run], kind="stable") for first in range(0, len(shuffled), run)]
        or [np.empty(0, np.int64)]
    )
    batches: list[LongArray] = []
    current: list[int] = []
    longest = 0
    for place in order.tolist():
        longest = max(longest, int(length_W[place])) if current else int(length_W[place])
        if current and longest * (len(current) + 1) > tokens:
            batches.append(shuffled[current])
            current, longest = [], int(length_W[place])
        current.append(place)
    if current:
        batches.append(shuffled[current])
    return [batches[place] for place in random.permutation(len(batches))]


def make_batch(
    sequences: Sequences, window_B2: LongArray, max_targets: int, random: np.random.Generator
) -> TrainingBatch:
    """Return the windows collated, with their queries and at most `max_targets` random targets of each."""
    windows, event_BL = windows_of(sequences, window_B2)
    next_start_BL, next_stop_BL = sequences.next_start_E[event_BL], sequences.next_stop_E[event_BL]
    asks_BL = windows.mask_BL & (next_stop_BL > next_start_BL) & _ends_time(windows)
    next_ms_BL = sequences.at_ms_E[np.minimum(next_start_BL, len(sequences) - 1)]
    as_of_B1 = sequences.at_ms_E[window_B2[:, 1:] - 1]
    query_age_s_BL = np.where(asks_BL, (as_of_B1 - next_ms_BL) / 1000.0, 0).astype(np.float32)
    row_Q, place_Q = np.nonzero(asks_BL)
    target_QM, mask_QM = _choose_targets(next_start_BL[asks_BL], next_stop_BL[asks_BL], max_targets, random)
    return TrainingBatch(windows, query_age_s_BL, row_Q, place_Q, sequences.code_E[target_QM].astype(np.int64), mask_QM)


def windows_of(sequences: Sequences, window_B2: LongArray) -> tuple[HistoryBatch, LongArray]:
    """Return what `collate` makes of the windows, without a loop, and which event each place holds (0 in padding)."""
    length = int((window_B2[:, 1] - window_B2[:, 0]).max())
    event_BL = window_B2[:, 1:] - length + np.arange(length)
    mask_BL = event_BL >= window_B2[:, :1]
    event_BL = np.where(mask_BL, event_BL, 0)
    age_ms_BL = sequences.at_ms_E[window_B2[:, 1:] - 1] - sequences.at_ms_E[event_BL]
    windows = HistoryBatch(
        np.where(mask_BL, sequences.code_E[event_BL], PAD_CODE).astype(np.int64),
        np.where(mask_BL, sequences.type_E[event_BL], 0).astype(np.int64),
        np.where(mask_BL, age_ms_BL / 1000.0, 0).astype(np.float32),
        mask_BL,
    )
    return windows, event_BL


def _ends_time(windows: HistoryBatch) -> BoolArray:
    """Return which events are the last of their distinct time in the window."""
    ends_BL = np.ones_like(windows.mask_BL)
    ends_BL[:, :-1] = windows.age_s_BL[:, :-1] != windows.age_s_BL[:, 1:]
    return ends_BL


def _choose_targets(
    start_Q: LongArray, stop_Q: LongArray, max_targets: int, random: np.random.Generator
) -> tuple[LongArray, BoolArray]:
    """Return up to `max_targets` events of [start, stop): a random run of them, around the end if need be."""
    size_Q1 = (stop_Q - start_Q)[:, None]
    first_Q1 = (random.random(size_Q1.shape) * size_Q1).astype(np.int64)
    place_M = np.arange(min(max_targets, int(size_Q1.max())) if len(size_Q1) else 1)
    return start_Q[:, None] + (first_Q1 + place_M) % size_Q1, place_M < size_Q1
