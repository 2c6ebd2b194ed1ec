"""What the shop's rules hide, for lists that ranking does not make: popular, trending, new, and the lower rungs.

Called by   services/gateway/fallback.py (is_hidden), change_follower.py (refresh_soon), composition.py (follow, a job)
Read        anew at every word of a change and every few seconds
Away        while the rules cannot be read, the last known ones hold; none are known before the first read
Scenario    a rule without one holds everywhere; one with a scenario in requests for it, and in the list of its name
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from shared.contracts.merchandising import Merchandising, Rule
from shared.features.filter import Filter, FilterError, parse_filter
from shared.storage.redis.clients import STORE_ERRORS

REFRESH_S = 5.0
RETRY_S = 1.0

UNREADABLE: tuple[type[Exception], ...] = (*STORE_ERRORS, ValueError)

log = structlog.get_logger(__name__)


class RulesSource(Protocol):
    """shared.storage.redis.merchandising_store.MerchandisingStore."""

    async def get(self) -> Merchandising | None:
        """Return what holds now, None when nobody ever put anything."""
        ...


class HiddenItems:
    """The hide rules of one process."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._hiding: list[tuple[Rule, frozenset[str], Filter | None]] = []
        self._wanted = asyncio.Event()
        self._reachable = True

    def is_hidden(self, item: Mapping[str, Any], scenario: str, now_ms: int) -> bool:
        """Return whether a rule hides an item now; `item` holds the fields of POST /items, `item_id` among them."""
        return any(
            rule.holds(scenario, now_ms)
            and (item["item_id"] in named or (wanted is not None and wanted.matches(item, now_ms)))
            for rule, named, wanted in self._hiding
        )

    def refresh_soon(self) -> None:
        """Read the rules anew without waiting for the next round."""
        self._wanted.set()

    async def follow(self, source: RulesSource) -> None:
        """Refresh for ever."""
        while True:
            self._wanted.clear()
            wait_s = REFRESH_S if await self._refresh(source) else RETRY_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def _refresh(self, source: RulesSource) -> bool:
        try:
            found = await source.get()
        except UNREADABLE as error:
            if self._reachable:
                log.warning("rules_unavailable", reason=type(error).__name__)
            self._reachable = False
            return False
        self._reachable = True
        if found is not None and found.version != self._version:
            self._version = found.version
            self._hiding = [
                (rule, frozenset(rule.items), _parsed(rule.filter)) for rule in found.rules if rule.action == "hide"
            ]
        return True


def _parsed(text: str | None) -> Filter | None:
    """Return a filter; None for one that this release cannot read: the rule then hides only what it names."""
    try:
        return None if text is None else parse_filter(text)
    except FilterError:
        return None
