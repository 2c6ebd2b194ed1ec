"""What the shop's rules hide, for lists that ranking does not make: popular, trending, new, and the lower rungs.

Called by   services/gateway/fallback.py (is_hidden), change_follower.py (refresh_soon), composition.py (follow, a job)
Read        as refreshed_copy.py says; none are known before the first read
Scenario    a rule without one holds everywhere; one with a scenario in requests for it, and in the list of its name
"""

from collections.abc import Mapping
from typing import Any

from services.gateway.refreshed_copy import RefreshedCopy
from shared.contracts.merchandising import Merchandising, Rule
from shared.features.filter import Filter, FilterError, parse_filter


class HiddenItems(RefreshedCopy[Merchandising]):
    """The hide rules of one process."""

    def __init__(self) -> None:
        super().__init__("rules")
        self._hiding: list[tuple[Rule, frozenset[str], Filter | None]] = []

    def is_hidden(self, item: Mapping[str, Any], scenario: str, now_ms: int) -> bool:
        """Return whether a rule hides an item now; `item` holds the fields of POST /items, `item_id` among them."""
        return any(
            rule.holds(scenario, now_ms)
            and (item["item_id"] in named or (wanted is not None and wanted.matches(item, now_ms)))
            for rule, named, wanted in self._hiding
        )

    async def _take(self, found: Merchandising) -> None:
        self._hiding = [
            (rule, frozenset(rule.items), _parsed(rule.filter)) for rule in found.rules if rule.action == "hide"
        ]


def _parsed(text: str | None) -> Filter | None:
    """Return a filter; None for one that this release cannot read: the rule then hides only what it names."""
    try:
        return None if text is None else parse_filter(text)
    except FilterError:
        return None
