"""A whole gateway over fakes: the real use cases and routes, no network, a clock that stands still.

Called by   tests/unit/gateway, tests/contract
Default     feature knows nobody, ranking answers item-1, item-2, ..., the lists hold pop-1 ... pop-5
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI

from services.gateway.composition import Outside, Parts, compose
from services.gateway.main import gateway_app
from shared.service.background import running
from shared.service.http_client import Reply
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from tests.asgi_client import Answer, call
from tests.fakes import (
    FakeCache,
    FakeChanges,
    FakeClock,
    FakeEventLog,
    FakeImpressionLog,
    FakeKeys,
    FakeLists,
    FakeRates,
    FakeRules,
    FakeService,
    json_of,
)

MODEL = {"name": "fusion", "version": "v1"}


def entry(item_id: str | int, score: float = 1.0, **item: Any) -> dict[str, Any]:
    """Return one entry of a popular list."""
    return {"item_id": item_id, "score": score, "item": {"title": f"Title of {item_id}", "stock": 5, **item}}


def lists_blob(popular: list[dict[str, Any]], made_at_ms: int = 0, **categories: list[dict[str, Any]]) -> bytes:
    """Return the JSON that feature's job writes."""
    lists = {"popular": {"all": popular, **categories}, "trending": {"all": popular[::-1]}, "new": {"all": []}}
    return orjson.dumps({"made_at_ms": made_at_ms, "lists": lists})


POPULAR = lists_blob([entry(f"pop-{number}", 6.0 - number) for number in range(1, 6)])


class Rig:
    """The gateway and everything around it."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.settings = Settings(home=home, **settings)
        self.clock = FakeClock()
        self.cache = FakeCache(self.clock)
        self.events = FakeEventLog()
        self.impressions = FakeImpressionLog()
        self.lists = FakeLists(POPULAR)
        self.changes = FakeChanges()
        self.keys = FakeKeys()
        self.rules = FakeRules()
        self.rates = FakeRates()
        self.feature = FakeService()
        self.ranking = FakeService()
        self.feature.on("POST", "/state", lambda _: json_of({"user_key": "u:1", "version": "s1", "as_of_ms": 0}))
        self.ranking.on("POST", "/rank", self.rank)
        self.cold_start = False
        self.model = MODEL
        self.rank_delay_s = 0.0
        self.notices: list[str] = []
        self.rules_version: str | None = None
        """those that ranking obeys, when they are not those that the cache names"""
        self.state_version: str | None = None
        """of the state that feature gave, when ranking says it"""
        self.rules_change_at_ms: int | None = None

    @property
    def outside(self) -> Outside:
        """Return the fakes as the gateway sees them."""
        return Outside(
            cache=self.cache,
            events=self.events,
            impressions=self.impressions,
            lists=self.lists,
            changes=self.changes,
            keys=self.keys,
            rules=self.rules,
            rates=self.rates,
            feature=self.feature,
            ranking=self.ranking,
        )

    async def rank(self, body: bytes | None) -> Reply:
        """Answer like ranking: as many items as asked for, without the excluded ones."""
        await asyncio.sleep(self.rank_delay_s)
        asked = orjson.loads(body or b"{}")
        excluded = set(asked.get("exclude", ()))
        names = [name for number in range(1, 300) if (name := f"item-{number}") not in excluded]
        items = [{"item_id": name, "score": 1 / place} for place, name in enumerate(names, 1)]
        return json_of(
            {
                "items": items[: asked["num_items"]],
                "counts": {"retrieved": 300, "removed": {"seen": 2}, "ranked": 298},
                "model": self.model,
                "cold_start": self.cold_start,
                "took_ms": {"encode": 1.0},
                "notices": self.notices,
                "rules_version": self.rules_version or self.cache.rules,
                "state_version": self.state_version,
                "rules_change_at_ms": self.rules_change_at_ms,
            }
        )

    @asynccontextmanager
    async def started(self) -> AsyncIterator["RunningGateway"]:
        """Run the gateway's jobs; the lists are in memory and the change stream is connected when it begins."""
        parts = compose(self.settings, self.outside, self.clock, ServiceMetrics("gateway"))
        parts.board.load_snapshot()
        async with running(**parts.jobs):
            await settle()
            yield RunningGateway(self, parts)
        await parts.impressions.flush()
        await parts.keeps.flush()

    def app(self) -> FastAPI:
        """Return the gateway as an application; its jobs run in its lifespan."""
        return gateway_app(self.settings, self.outside, self.clock, AsyncExitStack())


class RunningGateway:
    """A gateway whose jobs run."""

    def __init__(self, rig: Rig, parts: Parts) -> None:
        self.rig = rig
        self.parts = parts
        self.gateway = parts.gateway

    async def recommend(self, **request: Any) -> dict[str, Any]:
        """Ask for one list and return the reply; what is written after the answer is written when this returns."""
        asked = valid(request)
        answer = await self.gateway.recommend.answer(asked)
        document = self.gateway.showing.recommended(answer, asked, 1.0)
        await settle()
        return document


def valid(request: dict[str, Any]) -> Any:
    """Return a valid request; user 1 if it names nobody."""
    from services.gateway.recommend_forms import valid_request

    return valid_request({"user_id": 1} | request if "visitor_id" not in request else request, "body")


async def settle() -> None:
    """Let the jobs run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)


def ids(document: dict[str, Any]) -> list[str | int]:
    """Return the items of a reply."""
    return [place["item_id"] for place in document["recommendations"]]


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[FastAPI]:
    """Run an application's lifespan."""
    async with app.router.lifespan_context(app):
        await settle()
        yield app


async def post(app: FastAPI, target: str, document: Any) -> Answer:
    """Send JSON."""
    return await call(app, "POST", target, document)
