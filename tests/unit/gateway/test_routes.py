from typing import Any

import orjson
import pytest

from tests.asgi_client import call
from tests.fakes import json_of
from tests.unit.gateway.rig import Rig, ids, post, serving


async def test_the_short_form_and_the_full_form_ask_for_the_same(rig: Rig) -> None:
    context = {"page": "cart", "budget": {"max": 50}}
    full = {"user_id": "42", "num_items": 3, "timeout_ms": 200, "context": context}
    async with serving(rig.app()) as app:
        first = await post(app, "/recommend", full)
        second = await post(app, "/v1/recommend?user_id=42&num_items=3&timeout_ms=250", context)
        third = await call(app, "POST", "/recommend?visitor_id=v1&dry_run=true")
    assert [first.status, second.status, third.status] == [200, 200, 200]
    assert first.document["scenario"] == second.document["scenario"] == "cart"
    assert (first.document["served_from"], second.document["served_from"]) == ("live", "cache")
    assert orjson.loads(rig.ranking.calls["POST", "/rank"][0] or b"")["context"] == context
    assert len(rig.impressions.impressions) == 2


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("user_id=1&num_items=10.0", "num_items"),
        ("user_id=1&num_items=201", "num_items"),
        ("user_id=1&num_items=", "num_items"),
        ("user_id=1&user_id=2", "user_id"),
        ("user_id=1&dry_run=yes", "dry_run"),
        ("user_id=1&limit=5", "limit"),
        ("num_items=5", ""),
    ],
)
async def test_the_short_form_is_as_strict_as_the_full_form(rig: Rig, query: str, place: str) -> None:
    async with serving(rig.app()) as app:
        answer = await call(app, "POST", f"/recommend?{query}")
    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert place in orjson.dumps(answer.document["errors"]).decode()


async def test_catalogue_and_user_calls_reach_feature_as_they_are_and_its_problems_come_back(rig: Rig) -> None:
    problem = {"type": "about:blank", "title": "x", "status": 422, "detail": "d", "code": "invalid_request"}
    rig.feature.on("POST", "/items", lambda _: json_of(problem, 422))
    rig.feature.on("GET", "/items/a%2Fb", lambda _: json_of({"item_id": "a/b"}))
    rig.feature.on("DELETE", "/users/%C3%A9", lambda _: json_of({"user_id": "é"}))
    rig.feature.on("POST", "/users/merge", lambda _: json_of({"moved": 3}))
    async with serving(rig.app()) as app:
        refused = await post(app, "/items", {"items": []})
        assert (refused.status, refused.document) == (422, problem)
        assert (await call(app, "GET", "/v1/items/a%2Fb")).document == {"item_id": "a/b"}
        # Both spellings of the accented letter are one identifier.
        assert (await call(app, "DELETE", "/users/e%CC%81")).document == {"user_id": "é"}
        assert (await post(app, "/users/merge", {"visitor_id": "v", "user_id": 1})).document == {"moved": 3}
        assert (await call(app, "GET", "/items/a%00b")).status == 422
    assert rig.feature.calls["POST", "/items"] == [b'{"items":[]}']


async def test_an_export_is_streamed(rig: Rig) -> None:
    from shared.service.http_client import Reply

    rig.feature.on("GET", "/users/42/export", lambda _: Reply(200, b'{"a":1}\n{"b":2}\n', "application/x-ndjson"))
    async with serving(rig.app()) as app:
        answer = await call(app, "GET", "/users/42/export")
    assert answer.body == b'{"a":1}\n{"b":2}\n'
    assert answer.headers["content-type"].startswith("application/x-ndjson")


async def test_an_erasure_that_cannot_reach_feature_is_a_503_and_never_a_silent_success(rig: Rig) -> None:
    rig.feature.down = True
    async with serving(rig.app()) as app:
        answer = await call(app, "DELETE", "/users/42")
        export = await call(app, "GET", "/users/42/export")
    assert (answer.status, export.status) == (503, 503)
    assert "retry-after" in answer.headers


async def test_with_keys_set_every_call_but_the_probes_needs_one(tmp_path: Any) -> None:
    rig = Rig(tmp_path, api_keys="first-key, second-key")
    async with serving(rig.app()) as app:
        for headers in ({}, {"x-api-key": "wrong"}, {"x-api-key": ""}):
            refused = await call(app, "GET", "/popular", headers=headers)
            assert (refused.status, refused.document["code"]) == (401, "unauthenticated")
            assert "x-request-id" in refused.headers
        for key in ("first-key", "second-key"):
            assert (await call(app, "GET", "/v1/popular", headers={"x-api-key": key})).status == 200
        for probe in ("/livez", "/readyz"):
            assert (await call(app, "GET", probe)).status == 200
        figures = (await call(app, "GET", "/metrics", headers={"x-api-key": "first-key"})).body
    assert b"first-key" not in figures


async def test_metrics_count_rungs_and_reasons_with_a_closed_set_of_scenarios(rig: Rig) -> None:
    async with serving(rig.app()) as app:
        await post(app, "/recommend", {"user_id": 1, "scenario": "cart"})
        await post(app, "/recommend", {"user_id": 1, "scenario": "made-up-by-a-client"})
        rig.ranking.down = True
        await post(app, "/recommend", {"user_id": 2})
        text = (await call(app, "GET", "/metrics")).body.decode()
    assert 'aisle_recommend_total{degraded_reason="none",scenario="cart",served_from="live"} 1.0' in text
    assert 'aisle_recommend_total{degraded_reason="none",scenario="other",served_from="live"} 1.0' in text
    assert 'degraded_reason="ranking_unavailable",scenario="home",served_from="popular"} 1.0' in text
    assert "made-up-by-a-client" not in text
    assert 'aisle_breaker_state{dependency="ranking",service="gateway"} 0.0' in text
    assert 'aisle_cache_reads_total{result="miss"} 3.0' in text
    for stage in ("cache", "feature", "ranking", "serialise"):
        assert f'aisle_recommend_stage_seconds_count{{stage="{stage}"}} ' in text


async def test_the_gateway_is_ready_with_a_list_in_memory_or_after_its_grace(rig: Rig) -> None:
    rig.lists.blob = None
    async with serving(rig.app()) as app:
        assert (await call(app, "GET", "/readyz")).status == 503
        assert ids((await post(app, "/recommend", {"user_id": 1})).document)
        rig.clock.advance(4)
        assert (await call(app, "GET", "/readyz")).status == 200
    rig.lists.blob = b'{"made_at_ms": 1, "lists": {"popular": {"all": [{"item_id": 1, "score": 1}]}}}'
    async with serving(rig.app()) as app:
        assert (await call(app, "GET", "/readyz")).status == 200
