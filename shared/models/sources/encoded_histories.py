"""The states of histories encoded lately: a shopper whose history did not change is not encoded again.

Called by   shared/models/sources/sequence.py
Time        the state also depends on the time between the newest event and now. That time is cut to a grid finer than
            any bucket the encoder reads (shared/models/encoder.py), whether a state is at hand or not: an answer never
            depends on what was asked before it
Memory      about 1.5 kB a history of 64 events
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from shared.features.events import FloatArray
from shared.models.tensors import History

KEPT = 5000
GRID = 0.05
"""step of ln(1 + seconds): an hour after the newest event, answers within three minutes share a state"""


class EncodedHistories:
    """The newest KEPT states of one encoder."""

    def __init__(self, encode: Callable[[list[History]], FloatArray]) -> None:
        self._encode = encode
        self._state = lru_cache(maxsize=KEPT)(self._encoded)

    def state(self, history: History) -> FloatArray:
        """Return state_D of a history that is not empty; the caller may not change it."""
        return self._state(
            history.code_L.astype(np.int32, copy=False).tobytes(),
            history.type_L.astype(np.int8, copy=False).tobytes(),
            history.at_ms_L.astype(np.int64, copy=False).tobytes(),
            on_grid_ms(history.as_of_ms - int(history.at_ms_L[-1])),
        )

    def states(self, histories: Sequence[History]) -> FloatArray:
        """Return state_BD of histories that are not empty: one alone from memory where it can be, several together.

        Several are those of a batch, each asked for once: keeping them would only drive out those asked for again.
        """
        if len(histories) == 1:
            return self.state(histories[0])[None]
        return self._encode([on_grid(history) for history in histories])

    def _encoded(self, code: bytes, kind: bytes, at_ms: bytes, gap_ms: int) -> FloatArray:
        at_ms_L = np.frombuffer(at_ms, np.int64)
        history = History(
            np.frombuffer(code, np.int32), np.frombuffer(kind, np.int8), at_ms_L, int(at_ms_L[-1]) + gap_ms
        )
        state_D: FloatArray = self._encode([history])[0]
        return state_D


def on_grid(history: History) -> History:
    """Return a history asked for at the moment on the grid that stands for its own."""
    newest_ms = int(history.at_ms_L[-1])
    return replace(history, as_of_ms=newest_ms + on_grid_ms(history.as_of_ms - newest_ms))


def on_grid_ms(gap_ms: int) -> int:
    """Return the largest time on the grid that is not above a time."""
    return int(1000 * math.expm1(GRID * math.floor(math.log1p(gap_ms / 1000) / GRID)))
