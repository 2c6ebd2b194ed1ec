"""Does the online state still say what Postgres says? Now and then one shopper asked for lately is looked up in both.

Called by   main.py (`run`, beside the answers); routes.py notes whose state was read
Different   the worker commits to Postgres first, so a difference counts only if it is still there SETTLE_S later
Errors      none: a store that is away says nothing about parity
"""

import asyncio

import structlog
from prometheus_client import Counter

from services.feature.stores import STORES_DOWN
from services.feature.user_state import Histories, OnlineStates
from shared.resilience.concurrency_limit import SaturatedError
from shared.storage.history import in_order

EVERY_S = 30.0
SETTLE_S = 5.0
"""the promise of freshness: an event is visible online within this time"""

AWAY: tuple[type[Exception], ...] = (*STORES_DOWN, SaturatedError)

log = structlog.get_logger()


class ParityCheck:
    """Belongs to one event loop."""

    def __init__(
        self,
        online: OnlineStates,
        histories: Histories,
        checks: Counter,
        every_s: float = EVERY_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._online, self._histories, self._checks = online, histories, checks
        self._every_s, self._settle_s = every_s, settle_s
        self._noted: str | None = None

    def note(self, user_key: str) -> None:
        """Remember whose state was read last; an assignment, since every recommendation does it."""
        self._noted = user_key

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.check()

    async def check(self) -> None:
        """Compare the shopper noted last, if there is one."""
        user_key, self._noted = self._noted, None
        if user_key is None:
            return
        try:
            result = await self._result(user_key)
        except AWAY as error:
            log.info("parity_not_checked", error=type(error).__name__)
            return
        if result is not None:
            self._checks.labels(result).inc()
            if result == "different":
                log.error("online_state_differs")

    async def _result(self, user_key: str) -> str | None:
        """Return equal or different; None when there is no online state to compare."""
        for wait_s in (self._settle_s, 0.0):
            online = await self._online.read(user_key)
            if online is None:
                return None
            history = await self._histories.read(user_key)
            if online.events == in_order(history.events) and online.profile == history.profile:
                return "equal"
            await asyncio.sleep(wait_s)
        return "different"
