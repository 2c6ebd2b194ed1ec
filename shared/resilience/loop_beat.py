"""How late an event loop comes to what is due: a beat every few milliseconds, and the longest delay of the last ones.

Called by   services/gateway/composition.py (how many lists to make at once), shedding.py (whom to refuse)
Late        by the rest of the turn in which the beat was due. Whoever arrives in that turn waits as long before anybody
            looks at the request, whatever made the turn long: too many requests, or a core that others had
Cost        200 short wake-ups a second for each process, and nothing for each request
"""

import asyncio
import time

from shared.resilience.deadline import MonotonicS

BEAT_S = 0.005
MOST_LATE_S = 0.005
"""A refusal waits for the rest of one turn and for its place in the next, and is to be out after 20 ms."""
LEFT = 0.9
"""of a delay after the next beat: one of 50 ms counts for 0.1 s, by when a crowd has made others"""


class LoopBeat:
    """The beat of one event loop."""

    def __init__(self, monotonic_s: MonotonicS = time.monotonic) -> None:
        self.late_s = 0.0
        self._monotonic_s = monotonic_s

    @property
    def is_behind(self) -> bool:
        """Return whether turns of the loop are too long for a refusal in time."""
        return self.late_s > MOST_LATE_S

    def take(self, late_s: float) -> None:
        """Learn how late a beat came."""
        self.late_s = max(late_s, self.late_s * LEFT)

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            due_s = self._monotonic_s() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.take(self._monotonic_s() - due_s)
