"""The lower rungs of the ladder: a list out of this process's memory, with no call to anybody.

Called by   services/gateway/recommend.py and similar.py, when a live list could not be had
Out         the request's filter, exclusions, candidates and size are kept, and what the shop hides is left out; stock
            and price are the newest known
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from services.gateway.hidden_items import HiddenItems
from services.gateway.item_changes import ItemChanges, can_be_sold
from services.gateway.lists_board import ListsBoard
from services.gateway.popular_lists import POPULAR, ListEntry, pick
from shared.contracts.recommendation import Context, RecommendRequest, ReturnShape, ServedFrom
from shared.features.filter import Filter

REASONS = {
    "popular": {"code": "popular", "text": "Popular with other shoppers"},
    "trending": {"code": "trending", "text": "Bought more often than before"},
    "new": {"code": "new", "text": "New in the shop"},
}


@dataclass(frozen=True)
class Wanted:
    """Which entries of a list a request can use."""

    num_items: int
    filter: Filter | None = None
    excluded: Collection[str] = ()
    candidates: Collection[str] | None = None
    category: str | None = None
    scenario: str = ""
    """whose hide rules hold"""

    @classmethod
    def by(cls, request: RecommendRequest, parsed: Filter | None, scenario: str) -> "Wanted":
        """Return what a recommendation request wants; not what is in the cart or on the page already."""
        excluded = set(request.exclude)
        context = request.context or Context()
        excluded.update(line.item_id for line in context.cart)
        if context.item_id is not None:
            excluded.add(context.item_id)
        candidates = None if request.candidates is None else frozenset(request.candidates)
        return cls(request.num_items, parsed, excluded, candidates, context.category, scenario)


class Fallback:
    """Picks from the lists in memory."""

    def __init__(self, board: ListsBoard, changes: ItemChanges, hidden: HiddenItems) -> None:
        self._board = board
        self._changes = changes
        self._hidden = hidden

    @property
    def rung(self) -> ServedFrom:
        """Return where the lists come from."""
        return self._board.rung

    @property
    def has_nothing(self) -> bool:
        """Return whether there is not one item to offer."""
        return self._board.current.is_empty

    def items(self, wanted: Wanted, shape: ReturnShape, now_ms: int) -> list[dict[str, Any]]:
        """Return the popular items: those of the wanted category first."""
        entries = self._board.current.chain(POPULAR, [wanted.category] if wanted.category else [])
        picked = pick(entries, self.wanted(wanted, now_ms), wanted.num_items)
        return listed(picked, POPULAR, shape, self._changes)

    def wanted(self, wanted: Wanted, now_ms: int) -> Callable[[ListEntry], bool]:
        """Return the test an entry has to pass."""

        def accept(entry: ListEntry) -> bool:
            if entry.key in wanted.excluded:
                return False
            if wanted.candidates is not None and entry.key not in wanted.candidates:
                return False
            item = newest_item(entry, self._changes)
            if item is None or not can_be_sold(item, now_ms):
                return False
            named = {**item, "item_id": entry.key}
            if self._hidden.is_hidden(named, wanted.scenario, now_ms):
                return False
            return wanted.filter is None or wanted.filter.matches(named, now_ms)

        return accept


def newest_item(entry: ListEntry, changes: ItemChanges) -> dict[str, Any] | None:
    """Return what is known of a listed item now; None if it was deleted."""
    change = changes.newest(entry.key)
    return entry.item if change is None else change.item


def listed(entries: list[ListEntry], name: str, shape: ReturnShape, changes: ItemChanges) -> list[dict[str, Any]]:
    """Return entries as places of a reply; scores never rise along it."""
    items: list[dict[str, Any]] = []
    score = float("inf")
    for entry in entries:
        score = min(score, entry.score)
        place: dict[str, Any] = {"item_id": entry.item_id, "score": score}
        if shape.explain != "none":
            place |= {"sources": [name], "reasons": [REASONS[name]]}
        if shape.fields:
            item = newest_item(entry, changes) or {}
            place["item"] = {field: item[field] for field in shape.fields if field in item}
        items.append(place)
    return items
