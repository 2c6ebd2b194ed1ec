"""The popular, trending and new lists as the shop reads them: from this process's memory, with an ETag.

Called by   services/gateway/routes.py (GET /popular, /trending, /new)
Windows     the ones feature's job counts over; another one is refused by name
"""

import hashlib
from dataclasses import dataclass

import orjson
from pydantic import Field

from services.gateway.answer import Answer
from services.gateway.fallback import Fallback, Wanted, listed
from services.gateway.filters import parse_public_filter
from services.gateway.item_changes import ItemChanges
from services.gateway.lists_board import ListsBoard
from services.gateway.popular_lists import pick
from shared.contracts.recommendation import MAX_NUM_ITEMS, DegradedReason, ReturnShape
from shared.contracts.strict import PublicModel
from shared.service.clock import Clock
from shared.service.problems import invalid_request
from shared.service.queries import QueryInt

WINDOWS = {"popular": "30d", "trending": "7d", "new": "30d"}


class ListingQuery(PublicModel):
    """The query string of GET /popular, /trending and /new."""

    category: str | None = Field(default=None, max_length=200)
    window: str | None = Field(default=None, max_length=8)
    num_items: QueryInt = Field(default=10, ge=1, le=MAX_NUM_ITEMS)
    filter: str | None = Field(default=None, max_length=5000)


@dataclass
class Listing:
    """The use case."""

    board: ListsBoard
    memory: Fallback
    changes: ItemChanges
    ttl_ms: int
    clock: Clock

    def answer(self, name: str, query: ListingQuery) -> Answer:
        """Return the entries of one list that can be sold now and pass the filter."""
        if query.window not in (None, WINDOWS[name]):
            raise invalid_request(f"this list is made over {WINDOWS[name]}", "query", "window")
        parsed = parse_public_filter(query.filter)
        now_ms = self.clock.now_ms()
        wanted = self.memory.wanted(Wanted(query.num_items, parsed, scenario=name), now_ms)
        picked = pick(self.board.current.entries(name, query.category), wanted, query.num_items)
        places = listed(picked, name, ReturnShape(fields=["title", "price", "currency", "brand"]), self.changes)
        reason = DegradedReason.NO_CATALOG if self.memory.has_nothing else DegradedReason.NONE
        return Answer(places, name, reason, self.board.rung, now_ms, self.ttl_ms)


def etag_of(answer: Answer) -> str:
    """Return a weak ETag: equal for equal lists, whatever their time and id."""
    text = orjson.dumps([answer.scenario, answer.reason, answer.served_from, answer.items])
    return f'W/"{hashlib.blake2b(text, digest_size=12).hexdigest()}"'
