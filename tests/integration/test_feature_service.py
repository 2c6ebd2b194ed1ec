"""The feature service over real stores, called as the gateway calls it: states, catalogue, accounts, erasure, lists."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from services.feature.main import create_app
from shared.contracts.events import EventType, StoredEvent
from shared.contracts.internal import EventColumns
from shared.features.shopper_events import unpacked
from shared.service.settings import Settings
from shared.storage.redis.clients import async_client
from shared.storage.redis.lists_store import ListsStore
from shared.storage.redis.recommendation_cache import Entry, RecommendationCache, Versions
from tests.asgi_client import Answer, call
from tests.integration.ingest_support import NAMESPACE, Stores, append, event, sent

CUP = {"item_id": 17, "title": "Cup", "categories": ["Kitchen", "Cups"], "brand": "B", "price": 9.5, "stock": 3}


@pytest.fixture
def stores(database_url: str, stream_url: str, cache_url: str) -> Stores:
    return Stores(database_url, stream_url, cache_url)


@pytest.fixture
async def app(stores: Stores) -> AsyncIterator[FastAPI]:
    settings = Settings(
        namespace=NAMESPACE,
        database_url=stores.database_url,
        redis_stream_url=stores.stream_url,
        redis_cache_url=stores.cache_url,
        lists_refresh_s=1,
        cache_timeout_ms=1000,
        feature_timeout_ms=5000,
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await eventually(lambda: call(app, "GET", "/readyz"), lambda answer: answer.status == 200)
        yield app


async def eventually(ask: Any, accept: Any, timeout_s: float = 10.0) -> Any:
    """Ask again until the answer will do."""
    ends_s = time.monotonic() + timeout_s
    while not accept(answer := await ask()):
        assert time.monotonic() < ends_s, f"still {answer}"
        await asyncio.sleep(0.02)
    return answer


async def state(app: FastAPI, user_key: str = "u:1") -> dict[str, Any]:
    answer = await call(app, "POST", "/state", {"user_key": user_key, "as_of_ms": time.time_ns() // 1_000_000 + 1000})
    assert answer.status == 200, answer.body
    return dict(answer.document)


def items(found: dict[str, Any]) -> list[str]:
    """Return the items of a state's events, oldest first."""
    return list(unpacked(EventColumns.model_validate(found["events"])).item_id)


async def insert(app: FastAPI, *events: StoredEvent) -> Answer:
    return await call(app, "POST", "/events/insert", [line.model_dump(mode="json") for line in events])


async def test_events_inserted_past_the_stream_count_at_once_and_once(app: FastAPI, engine: Engine) -> None:
    before = await state(app)
    line = event("a", type=EventType.PURCHASE, item_id="17", price=4.0)
    assert (await insert(app, line)).document == {"inserted": 1, "known": 0, "conflicts": 0}
    assert (await insert(app, line)).document == {"inserted": 0, "known": 1, "conflicts": 0}
    after = await state(app)
    assert after["version"] != before["version"]
    assert (items(after), after["features"]["purchase_count"]) == (["17"], 1.0)


async def test_an_item_written_patched_and_deleted_is_live_within_two_seconds(app: FastAPI) -> None:
    await insert(app, event("a", type=EventType.PURCHASE, item_id="17"))
    assert (await call(app, "POST", "/items", {"items": [CUP]})).document == {"upserted": 1}
    await eventually(lambda: state(app), lambda found: found["category_preference"] == {"Kitchen": 1.0}, 2.0)

    patched = await call(app, "PATCH", "/items/17", {"price": 8.0, "brand": None})
    assert (patched.document["item_id"], patched.document["price"], patched.document["brand"]) == (17, 8.0, None)
    await eventually(lambda: state(app), lambda found: found["brand_preference"] == {}, 2.0)
    assert (await call(app, "GET", "/items/17")).document == patched.document

    assert (await call(app, "DELETE", "/items/17")).status == 200
    for method, body in (("GET", None), ("PATCH", {"price": 1.0}), ("DELETE", None)):
        answer = await call(app, method, "/items/17", body)
        assert (answer.status, answer.document["code"]) == (404, "not_found")


async def test_an_identifier_with_a_slash_or_written_as_text_comes_back_as_it_was(app: FastAPI) -> None:
    await call(app, "POST", "/items", {"items": [{"item_id": "a/b c"}, {"item_id": "18"}, {"item_id": 19}]})
    assert (await call(app, "GET", "/items/a%2Fb%20c")).document["item_id"] == "a/b c"
    assert (await call(app, "GET", "/items/18")).document["item_id"] == "18"
    assert (await call(app, "GET", "/items/19")).document["item_id"] == 19


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/items", {"items": []}),
        ("POST", "/items", {"items": [{"item_id": True}]}),
        ("POST", "/items", {"items": [{"item_id": 1, "prise": 2}]}),
        ("POST", "/items", {"items": [{"item_id": 1, "stock": 2**63}]}),
        ("PATCH", "/items/1", {"price": -1}),
        ("POST", "/users", {"users": [{"user_id": 1, "age": 200}]}),
        ("PATCH", "/users/1", {"user_id": 2}),
        ("POST", "/users/merge", {"user_id": 2}),
        ("POST", "/events/insert", [{"event_id": "a"}]),
        ("POST", "/state", {"user_key": "u:1"}),
    ],
)
async def test_a_malformed_body_is_refused_by_name(app: FastAPI, method: str, path: str, body: Any) -> None:
    answer = await call(app, method, path, body)
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert answer.document["errors"]


async def test_an_account_is_written_patched_and_read_and_its_profile_reaches_the_state(app: FastAPI) -> None:
    await state(app, "u:42")
    await call(
        app, "POST", "/users", {"users": [{"user_id": 42, "age": 37, "attributes": {"kids": 2, "member": True}}]}
    )
    profile = (await state(app, "u:42"))["profile"]
    assert (profile["age_band"], profile["attributes"]) == ("35-44", {"kids": "2", "member": "true"})

    patched = await call(app, "PATCH", "/users/42", {"gender": "f"})
    assert (patched.document["gender"], patched.document["age_band"]) == ("f", "35-44")
    assert (await call(app, "GET", "/users/42")).document == patched.document
    assert (await state(app, "u:42"))["profile"]["gender"] == "f"
    for method, body in (("GET", None), ("PATCH", {"gender": "m"})):
        assert (await call(app, method, "/users/43", body)).status == 404


async def test_consent_withdrawn_hides_the_past_at_once_and_removes_cached_lists(app: FastAPI, stores: Stores) -> None:
    await call(app, "POST", "/users", {"users": [{"user_id": 1, "age": 37}]})
    await insert(app, event("a", item_id="17"))
    client = async_client(stores.cache_url)
    cache = RecommendationCache(client, NAMESPACE)
    await cache.write([Entry("0" * 32, "u:1", b"{}", Versions("v", None), 1)])

    await call(app, "PATCH", "/users/1", {"consent": {"personalisation": False}})
    hidden = await state(app)
    assert (items(hidden), hidden["features"], hidden["profile"]["age_band"]) == ([], {}, None)
    assert (await cache.read("0" * 32, "u:1", 2)).found is None
    await client.aclose()

    await call(app, "PATCH", "/users/1", {"consent": {"personalisation": True}})
    assert items(await state(app)) == ["17"]


async def test_a_visitor_merged_into_an_account_loses_nothing_not_even_late_events(app: FastAPI) -> None:
    await insert(app, event("a", "v:cookie", item_id="17"), event("b", "u:42", item_id="18"))
    late = event("c", "v:cookie", item_id="19")
    await state(app, "u:42")
    merged = await call(app, "POST", "/users/merge", {"visitor_id": "cookie", "user_id": 42})
    assert merged.document == {"moved": 1}
    await insert(app, late)
    assert sorted(items(await state(app, "u:42"))) == ["17", "18", "19"]
    assert items(await state(app, "v:cookie")) == []


async def test_people_read_every_feature_and_where_the_state_came_from(app: FastAPI) -> None:
    await call(app, "POST", "/items", {"items": [CUP]})
    await insert(app, event("a", type=EventType.PURCHASE, item_id="17"))
    view = (await call(app, "GET", "/users/1/state")).document
    assert (view["origin"], view["counts"]) == ("rebuilt", {"events": 1, "by_type": {"purchase": 1}})
    await eventually(
        lambda: call(app, "GET", "/users/1/state"), lambda answer: answer.document["history"][0]["title"] == "Cup", 2.0
    )
    assert (await call(app, "GET", "/users/1/state")).document["origin"] == "online"
    assert (await call(app, "GET", "/users/1/state?visitor=true")).document["user_key"] == "v:1"
    assert (await call(app, "GET", "/users/1/state?kind=x")).status == 422


async def test_export_then_erasure_leaves_no_trace_in_any_store(app: FastAPI, stores: Stores, engine: Engine) -> None:
    await call(app, "POST", "/users", {"users": [{"user_id": 42, "age": 37}]})
    await insert(app, event("a", "u:42", item_id="17"), event("b", "v:cookie"), event("c", "u:421"))
    await call(app, "POST", "/users/merge", {"visitor_id": "cookie", "user_id": 42})
    for key in ("u:42", "v:cookie", "u:421"):
        await state(app, key)
    waiting, other = event("d", "u:42"), event("e", "u:421")
    await append(stores, [sent(waiting), sent(other)])
    stream, cache = async_client(stores.stream_url), async_client(stores.cache_url)
    await stream.xadd(f"{NAMESPACE}:events:dead", {"payload": b'[{"user_key":"u:42", broken', "reason": "x"})
    await RecommendationCache(cache, NAMESPACE).write([Entry("0" * 32, "u:42", b"{}", Versions("v", None), 1)])

    exported = await call(app, "GET", "/users/42/export")
    records = [orjson.loads(line) for line in exported.body.splitlines()]
    assert [record["record"] for record in records] == ["user", "merged_visitor", "interaction", "interaction"]

    receipt = (await call(app, "DELETE", "/users/42")).document
    assert receipt["user_id"] == "42"
    assert {store: count for store, count in receipt["removed"].items() if count} == {
        "postgres.event_receipts": 2,
        "postgres.interactions": 2,
        "postgres.user_merges": 1,
        "postgres.users": 1,
        "redis.online_state": 2,
        "redis.cached_lists": 1,
        "redis.event_stream": 1,
        "redis.event_claims": 1,
        "redis.dead_letters": 1,
    }
    with engine.connect() as connection:
        assert connection.execute(text("SELECT event_id FROM interactions")).scalars().all() == ["c"]
    left = [*(await stream.keys()), *(await cache.keys())]
    assert {key for key in left if b"u:42" in key and b"u:421" not in key} == {b"test:user-version:u:42"}
    assert 0 < await cache.ttl("test:user-version:u:42") <= 60
    assert [b"u:421" in fields[b"payload"] for _, fields in await stream.xrange(f"{NAMESPACE}:events:0")] == [True]

    assert (await insert(app, waiting)).document == {"inserted": 0, "known": 1, "conflicts": 0}
    assert items(await state(app, "u:42")) == []
    assert (await call(app, "GET", "/users/42/export")).status == 404
    await stream.aclose()
    await cache.aclose()


async def test_somebody_unknown_is_erased_with_a_receipt(app: FastAPI) -> None:
    answer = await call(app, "DELETE", "/users/nobody")
    assert (answer.status, sum(answer.document["removed"].values())) == (200, 1)


async def test_the_lists_are_made_at_the_start_and_follow_what_is_sold(app: FastAPI, stores: Stores) -> None:
    client = async_client(stores.cache_url)

    async def popular() -> list[Any]:
        blob = await ListsStore(client, NAMESPACE).get()
        return [] if blob is None else [entry["item_id"] for entry in orjson.loads(blob)["lists"]["popular"]["all"]]

    assert await ListsStore(client, NAMESPACE).get() is not None or await popular() == []
    await call(app, "POST", "/items", {"items": [CUP, {"item_id": 18}, {"item_id": 19, "stock": 0}]})
    await insert(app, event("a", type=EventType.PURCHASE, item_id="18"))
    await eventually(popular, lambda ids: ids == [18, 17], 6.0)
    await call(app, "PATCH", "/items/18", {"stock": 0})
    await eventually(popular, lambda ids: ids == [17], 6.0)
    await client.aclose()


async def test_metrics_say_where_states_come_from(app: FastAPI) -> None:
    await state(app)
    await state(app)
    figures = (await call(app, "GET", "/metrics")).body.decode()
    assert 'aisle_states_read_total{origin="rebuilt"} 1.0' in figures
    assert 'aisle_states_read_total{origin="online"} 1.0' in figures
