"""Ranking over real stores: lists and similar items over HTTP, live stock, and honest refusals."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from shared.contracts.explanation import ExplainRankRequest
from shared.contracts.internal import RankReply, SimilarRequest
from tests.asgi_client import JSON, call
from tests.integration.ranking_support import Shop, open_shop, rank, serving, until, until_serves
from tests.tiny_bundle import publish_tiny
from tests.tiny_shop import tiny_items
from tests.unit.ranking.requests import NOW_MS, Did, ids, request

SIMILAR = SimilarRequest(item_id="wine-fine-0", kind="similar", num_items=5, as_of_ms=NOW_MS)


def explain_request() -> ExplainRankRequest:
    """Return the question why an item is in the list of somebody who bought it."""
    asked = request(Did("wine-fine-0")).model_dump()
    return ExplainRankRequest.model_validate(asked | {"item_id": "wine-fine-1"})


@pytest.fixture
def shop(engine: Engine, database_url: str, stream_url: str, tmp_path: Path) -> Shop:
    return open_shop(engine, database_url, stream_url, tmp_path)


@pytest.fixture
async def app(shop: Shop) -> AsyncIterator[FastAPI]:
    version = publish_tiny(shop.bundles)
    shop.point_at(version)
    async with serving(shop.settings) as app:
        await until_serves(app, version)
        yield app


async def test_list_is_ranked_with_reasons_and_receipt(app: FastAPI) -> None:
    answer = await rank(app, request(Did("wine-fine-0"), exclude=["wine-fine-1"]))
    assert answer.status == 200
    reply = RankReply.model_validate(answer.document)
    assert len(reply.items) == 10
    assert reply.counts.removed == {"exclude": 1}
    assert reply.items[0].reasons[0].text
    assert set(reply.took_ms) == {"encode", "retrieve", "filter", "fuse", "rerank", "reply"}
    assert (await call(app, "GET", "/readyz")).status == 200


async def test_price_and_stock_act_within_two_seconds(app: FastAPI, shop: Shop) -> None:
    async def list_ids() -> list[str]:
        answer = await rank(app, request(num_items=60, filter="price < 1000"))
        return ids(RankReply.model_validate(answer.document))

    item = next(item for item in tiny_items() if item.item_id == "bread-fine-0")
    assert item.item_id in await list_ids()
    for change in (replace(item, stock=0), item, replace(item, price=5000.0), replace(item, deleted=True)):
        began_s = time.monotonic()
        shop.write([change])
        await until(list_ids, lambda found, change=change: (item.item_id in found) == (change == item), 2.0)
        assert time.monotonic() - began_s < 2.0


async def test_item_that_came_after_the_model_is_recommended(app: FastAPI, shop: Shop) -> None:
    like = next(item for item in tiny_items() if item.item_id == "wine-fine-0")
    shop.write([replace(like, item_id="901", is_integer=True, title="Fresh wine")])

    async def found() -> list[str]:
        answer = await rank(app, request(Did("wine-fine-1"), num_items=200))
        return ids(RankReply.model_validate(answer.document))

    await until(found, lambda listed: "901" in listed, 2.0)


async def test_similar_items_over_http(app: FastAPI) -> None:
    asked = {"item_id": "wine-fine-0", "kind": "bought_together", "num_items": 5, "as_of_ms": NOW_MS}
    answer = await call(app, "POST", "/similar", asked)
    assert answer.document["items"][0]["item_id"].startswith("bread")
    assert (await call(app, "POST", "/similar", asked | {"item_id": "unknown"})).document["code"] == "not_found"
    assert (await call(app, "POST", "/similar", asked | {"kind": "nearby"})).status == 422


async def test_bad_filter_names_its_column(app: FastAPI) -> None:
    answer = await rank(app, request(filter="price <= "))
    assert answer.status == 400
    assert answer.document["code"] == "invalid_filter"
    assert "column" in answer.document["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"num_items": 10}'])
async def test_malformed_request_is_refused_by_name(app: FastAPI, body: bytes) -> None:
    answer = await call(app, "POST", "/rank", body=body, headers={"content-type": "application/json"})
    assert answer.status == 422
    assert answer.document["code"] == "invalid_request"


@pytest.mark.parametrize("path", ["/rank", "/similar", "/explain"])
async def test_request_whose_deadline_is_past_is_refused_by_name_and_the_next_one_answered(
    app: FastAPI, path: str
) -> None:
    body = {"/rank": request(), "/similar": SIMILAR, "/explain": explain_request()}[path].model_dump_json().encode()
    headers = {"content-type": "application/json", "x-aisle-deadline-ms": "0"}
    answer = await call(app, "POST", path, body=body, headers=headers)
    assert (answer.status, answer.document["code"]) == (503, "unavailable")
    assert answer.document["detail"] == "the answer would come too late"
    assert answer.headers["retry-after"] == "1"
    assert (await call(app, "POST", path, body=body, headers=JSON)).status == 200


async def test_metrics_tell_stages_sources_and_the_model(app: FastAPI) -> None:
    await rank(app, request(Did("wine-fine-0"), exclude=["wine-fine-1"]))
    text = (await call(app, "GET", "/metrics")).body.decode()
    version = (await call(app, "GET", "/model")).document["version"]
    for line in (
        'aisle_ranking_stage_seconds_count{stage="encode"} 1.0',
        'aisle_ranking_candidates_count{source="co_visitation"} 1.0',
        'aisle_ranking_removed_total{rule="exclude"} 1.0',
        f'aisle_model_version_info{{version="{version}"}} 1.0',
        "aisle_model_loads_total 1.0",
        "aisle_model_age_seconds",
    ):
        assert line in text


async def test_shop_that_never_published_is_ready_and_refuses_honestly(shop: Shop) -> None:
    async with serving(shop.settings) as app:
        await until(lambda: call(app, "GET", "/readyz"), lambda answer: answer.status == 200)
        for answer in (await rank(app, request()), await call(app, "GET", "/model")):
            assert answer.status == 503
            assert "no model" in answer.document["detail"]
            assert "retry-after" not in answer.headers


async def test_empty_catalogue_gives_empty_lists(
    engine: Engine, database_url: str, stream_url: str, tmp_path: Path
) -> None:
    shop = open_shop(engine, database_url, stream_url, tmp_path)
    shop.write([replace(item, deleted=True) for item in tiny_items()])
    version = publish_tiny(shop.bundles)
    shop.point_at(version)
    async with serving(shop.settings) as app:
        await until_serves(app, version)
        answer = await rank(app, request(Did("wine-fine-0")))
        assert answer.document["items"] == []
