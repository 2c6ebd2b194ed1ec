"""The popular, trending and new lists as values: parsed once, then picked from for every request that needs them.

Called by   services/gateway/lists_board.py (holds the newest), fallback.py and listing.py (pick)
In          the JSON that feature's job writes: {made_at_ms, lists: {name: {category or "all": [entry, ...]}}}
Errors      ValueError when the JSON is not of that shape; the lists held before are kept then
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter

ALL = "all"
POPULAR = "popular"


class ListEntry(BaseModel):
    """One item of a list with what a reply may show of it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    item_id: str | int
    score: float
    item: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """Return the id as it is compared inside Aisle."""
        return str(self.item_id)


class _Blob(BaseModel):
    made_at_ms: int
    lists: dict[str, dict[str, list[ListEntry]]]


_blob = TypeAdapter(_Blob)


@dataclass(frozen=True)
class PopularLists:
    """All lists, as made at one moment."""

    made_at_ms: int = 0
    lists: dict[str, dict[str, list[ListEntry]]] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def parse(cls, text: bytes) -> "PopularLists":
        """Return the lists in the JSON `text`."""
        blob = _blob.validate_python(orjson.loads(text))
        return cls(blob.made_at_ms, blob.lists, digest_of(text))

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to recommend."""
        return not any(entries for by_category in self.lists.values() for entries in by_category.values())

    def entries(self, name: str, category: str | None = None) -> Sequence[ListEntry]:
        """Return one list; of a category nobody knows, an empty one."""
        return self.lists.get(name, {}).get(category or ALL, ())

    def chain(self, name: str, categories: Iterable[str]) -> Iterator[ListEntry]:
        """Yield the entries of some categories and then of all, each item once."""
        seen: set[str] = set()
        for category in [*categories, ALL]:
            for entry in self.entries(name, category):
                if entry.key not in seen:
                    seen.add(entry.key)
                    yield entry


def digest_of(text: bytes) -> str:
    """Return what tells one version of the lists from another."""
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def pick(entries: Iterable[ListEntry], wanted: Callable[[ListEntry], bool], num_items: int) -> list[ListEntry]:
    """Return the first `num_items` wanted entries."""
    picked: list[ListEntry] = []
    for entry in entries:
        if wanted(entry):
            picked.append(entry)
            if len(picked) == num_items:
                break
    return picked
