"""The job that keeps the popular, trending and new lists: one query for each, every lists_refresh_s and at the start.

Called by   main.py (`keep_fresh`, beside the answers)
Out         JSON in the lists store (shared/storage/redis/lists_store.py), which every gateway holds in memory:
            {made_at_ms, lists: {name: {"all" or category: [{item_id, score, item}]}}}, best first
Sellable    the queries see what can be sold; what changed since is left out here, by the live catalogue
Never empty a shop without events still has a popular list: it is filled up with its newest items, at score 0
Size        every gateway parses the lists as they come: CATEGORY_ENTRIES bounds what the categories of one list add;
            broad categories come first, and of a deep catalogue only those have lists
Replicas    several feature processes share the work: whoever finds the lists younger than half the period leaves them
Errors      a run that fails is logged and the lists before it stay
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
import orjson
import structlog

from services.feature.stores import STORES_DOWN
from services.feature.transactions import in_transaction
from shared.features.catalogue import Catalogue
from shared.service.clock import Clock
from shared.storage.relational.engine import Connection, Engine
from shared.storage.relational.popularity import ListName, ScoredItem, ranked_list

NAMES: tuple[ListName, ...] = ("popular", "trending", "new")
ALL = "all"
OVERALL = 300
BY_CATEGORY = 30
CATEGORY_ENTRIES = 1000
RETRY_S = 5.0
ITEM_FIELDS = ("title", "categories", "brand", "price", "currency", "stock", "rating", "attributes")

RankedLists = dict[str | None, list[ScoredItem]]
Entry = dict[str, Any]

log = structlog.get_logger()


class Lists(Protocol):
    """shared.storage.redis.lists_store.ListsStore."""

    async def put(self, lists: bytes) -> None:
        """Replace the lists."""
        ...

    async def get(self) -> bytes | None:
        """Return the lists."""
        ...


class ListsJob:
    """Computes the lists of one install. Belongs to the event loop of the live catalogue."""

    def __init__(
        self, engine: Engine, store: Lists, catalogue: Callable[[], Catalogue], clock: Clock, every_s: float
    ) -> None:
        self._engine = engine
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._every_s = every_s

    async def keep_fresh(self) -> None:
        """Run for ever."""
        first = True
        while True:
            try:
                if first or await self._is_due():
                    await self.refresh()
                first = False
                await asyncio.sleep(self._every_s)
            except STORES_DOWN as error:
                log.warning("lists_not_refreshed", error=type(error).__name__)
                await asyncio.sleep(min(RETRY_S, self._every_s))

    async def refresh(self) -> None:
        """Compute the lists now and put them into the store."""
        now_ms = self._clock.now_ms()
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        ranked: dict[str, RankedLists] = {}
        for name in NAMES:
            ranked[name] = await in_transaction(self._engine, _query(name, now))
        await self._store.put(orjson.dumps(await lists_document(ranked, self._catalogue(), now_ms)))

    async def _is_due(self) -> bool:
        known = await self._store.get()
        if known is None:
            return True
        # Several processes wake at about the same time; the period is kept by whoever comes first.
        return self._clock.now_ms() - int(orjson.loads(known)["made_at_ms"]) > self._every_s * 500


def _query(name: ListName, now: datetime) -> Callable[[Connection], RankedLists]:
    return lambda connection: ranked_list(connection, name, now, overall=OVERALL, by_category=BY_CATEGORY)


async def lists_document(ranked: dict[str, RankedLists], catalogue: Catalogue, now_ms: int) -> dict[str, Any]:
    """Return the lists as the gateway reads them; lets others run in between, since all of it takes 40 ms."""
    lists = {name: await _one_list(ranked[name], catalogue, now_ms) for name in ranked}
    popular = lists["popular"][ALL]
    popular += _newest(catalogue, now_ms, OVERALL - len(popular), {entry["item_id"] for entry in popular})
    return {"made_at_ms": now_ms, "lists": lists}


async def _one_list(ranked: RankedLists, catalogue: Catalogue, now_ms: int) -> dict[str, list[Entry]]:
    lists = {ALL: _entries(ranked.get(None, []), catalogue, now_ms)}
    room = CATEGORY_ENTRIES
    for category in _broad_first(ranked, catalogue):
        # A category that is itself named "all" would hide the list of everything.
        if category != ALL and len(ranked[category]) <= room:
            await asyncio.sleep(0)
            lists[category] = _entries(ranked[category], catalogue, now_ms)
            room -= len(ranked[category])
    return lists


def _broad_first(ranked: RankedLists, catalogue: Catalogue) -> list[str]:
    """Return the categories, the top level first, then those with longer and better lists."""
    top = {catalogue.categories.names[code] for code in np.unique(catalogue.top_category_N).tolist()}
    named = [category for category in ranked if category]
    return sorted(named, key=lambda name: (name not in top, -len(ranked[name]), -ranked[name][0].score, name))


def _entries(scored: Iterable[ScoredItem], catalogue: Catalogue, now_ms: int) -> list[Entry]:
    """Return the places of a list; an item the live catalogue does not know yet waits for the next run."""
    placed = [(row, place.score) for place in scored if (row := catalogue.row_of.get(place.item_id)) is not None]
    rows = np.fromiter((row for row, _ in placed), np.int32, len(placed))
    sellable = catalogue.sellable(rows, now_ms)
    return [_entry(catalogue, row, score) for (row, score), kept in zip(placed, sellable.tolist(), strict=True) if kept]


def _newest(catalogue: Catalogue, now_ms: int, count: int, known: set[str | int]) -> list[Entry]:
    """Return items nobody asked for yet, the newest first."""
    if count <= 0 or not len(catalogue):
        return []
    row_N = np.arange(len(catalogue), dtype=np.int32)
    row_S = row_N[catalogue.sellable(row_N, now_ms)]
    newest_S = row_S[np.argsort(-catalogue.created_ms_N[row_S], kind="stable")][: count + len(known)]
    unknown = [row for row in newest_S.tolist() if catalogue.public_id(row) not in known]
    return [_entry(catalogue, row, 0.0) for row in unknown[:count]]


def _entry(catalogue: Catalogue, row: int, score: float) -> Entry:
    item = catalogue.items[row]
    shown = {name: getattr(item, name) for name in ITEM_FIELDS}
    return {"item_id": catalogue.public_id(row), "score": round(score, 6), "item": shown}
