"""What changed in the catalogue lately, so that no cached or listed item is shown with yesterday's stock or price.

Called by   services/gateway/change_follower.py (writes), list_store.py, recommend.py, fallback.py, listing.py (read)
Memory      at most `capacity` items, the newest changes; of an older moment it says "unknown", never "unchanged"
Margin      ranking sees a change up to LAG_MS after it was written, so a list made that shortly after it is not trusted
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.contracts.times import epoch_ms
from shared.storage.redis.change_stream import Change, ChangeKind

LAG_MS = 2000
DEFAULT_CAPACITY = 100_000


@dataclass(frozen=True)
class ItemChange:
    """The newest word on one item."""

    at_ms: int
    item: dict[str, Any] | None
    """None: deleted"""


class ItemChanges:
    """The newest change of each item that changed since `known_since_ms`."""

    def __init__(self, now_ms: int, capacity: int = DEFAULT_CAPACITY) -> None:
        self._newest: OrderedDict[str, ItemChange] = OrderedDict()
        self._capacity = capacity
        self.known_since_ms = now_ms
        """changes before this moment are not all in here"""
        self.connected = False
        self.revision = 0
        """counts changes; part of the ETag of lists"""

    def record(self, item_id: str, change: ItemChange) -> None:
        """Remember a change; forget the oldest when there are too many."""
        self._newest[item_id] = change
        self._newest.move_to_end(item_id)
        self.revision += 1
        if len(self._newest) > self._capacity:
            _, forgotten = self._newest.popitem(last=False)
            self.known_since_ms = max(self.known_since_ms, forgotten.at_ms)

    def take(self, change: Change) -> None:
        """Learn from one entry of the change stream; kinds that do not concern items are passed over."""
        if change.kind == ChangeKind.ITEM:
            item = change.body["item"]
            self.record(item["item_id"], ItemChange(_time_of(change.id), None if item.get("deleted") else item))
        elif change.kind == ChangeKind.CATALOGUE:
            self.distrust_until(change.id)

    def distrust_until(self, change_id: str) -> None:
        """Say that something changed and nobody knows what: nothing made before is known to be unchanged."""
        self.known_since_ms = _time_of(change_id)
        self.revision += 1

    def newest(self, item_id: str) -> ItemChange | None:
        """Return the newest change of an item, if one is known."""
        return self._newest.get(item_id)

    def unchanged_since(self, item_ids: Iterable[str], made_at_ms: int) -> bool:
        """Return whether it is certain that no item changed since a list of them was made."""
        trusted_ms = made_at_ms - LAG_MS
        if not self.connected or trusted_ms < self.known_since_ms:
            return False
        newest = self._newest
        return not any((change := newest.get(item_id)) and change.at_ms > trusted_ms for item_id in item_ids)

    def is_sellable(self, item_id: str, now_ms: int) -> bool:
        """Return False for an item known to be deleted, out of stock or outside its dates."""
        change = self._newest.get(item_id)
        return change is None or (change.item is not None and can_be_sold(change.item, now_ms))


def can_be_sold(item: dict[str, Any], now_ms: int) -> bool:
    """Return whether an item, as the catalogue's JSON has it, can be sold now."""
    stock = item.get("stock")
    if item.get("deleted") or (stock is not None and stock <= 0):
        return False
    begins, ends = item.get("available_from"), item.get("available_until")
    return (begins is None or _ms(begins) <= now_ms) and (ends is None or now_ms < _ms(ends))


def _time_of(change_id: str) -> int:
    """Return when a change was published: its id begins with the stream server's time."""
    return int(change_id.partition("-")[0])


def _ms(moment: str) -> int:
    return epoch_ms(datetime.fromisoformat(moment))
