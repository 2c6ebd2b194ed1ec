"""States of shoppers who came lately: while a shopper's version is what it was, feature need not be asked again.

Called by   services/gateway/personal_list.py
Freshness   the version changes with every event and every change of the profile. What passes with time alone (the days
            since the last event, a price of the catalogue) is as old as a cached list may be: HELD_MS at most
Memory      MOST_BYTES; what was held first goes first, and what is too old goes when the next is held
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

HELD_MS = 60_000
MOST_BYTES = 16 * 1024 * 1024
"""a thousand states of 512 events"""


@dataclass(frozen=True)
class State:
    """A shopper's UserState as feature sent it."""

    body: bytes
    """JSON"""
    version: str


@dataclass(frozen=True)
class _Held:
    state: State
    since_ms: int


class HeldStates:
    """The states themselves. Belongs to one event loop."""

    def __init__(self, most_bytes: int = MOST_BYTES, held_ms: int = HELD_MS) -> None:
        self._most_bytes, self._held_ms = most_bytes, held_ms
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._bytes = 0

    def of(self, user_key: str, version: str | None, now_ms: int) -> State | None:
        """Return the state of a shopper whose version is this one now; None: ask feature."""
        held = self._held.get(user_key)
        if held is None or held.state.version != version or now_ms - held.since_ms > self._held_ms:
            return None
        return held.state

    def hold(self, user_key: str, state: State, now_ms: int) -> None:
        """Keep a state that feature just sent, in place of the one before."""
        self._drop(user_key)
        self._held[user_key] = _Held(state, now_ms)
        self._bytes += len(state.body)
        while self._bytes > self._most_bytes or self._oldest_ms() < now_ms - self._held_ms:
            self._drop(next(iter(self._held)))

    def _oldest_ms(self) -> float:
        return next((held.since_ms for held in self._held.values()), math.inf)

    def _drop(self, user_key: str) -> None:
        dropped = self._held.pop(user_key, None)
        if dropped is not None:
            self._bytes -= len(dropped.state.body)
