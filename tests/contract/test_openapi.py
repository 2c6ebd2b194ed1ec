"""GET /openapi.json is complete: every call has an example that runs and answers the declared shape."""

from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from shared.contracts.events import EventsReceipt
from shared.contracts.explanation import ExplainReply
from shared.contracts.recommendation import BatchReply, RecommendReply
from tests.asgi_client import Answer, call
from tests.fakes import json_of
from tests.unit.gateway.rig import MODEL, Rig, serving

OPERATIONS = {"/livez", "/readyz", "/metrics"}
EXPLANATION = {
    "item_id": 17,
    "outcome": "shown",
    "why": "Shown at place 1.",
    "sentence": "Popular right now",
    "rank": 1,
    "score_rank": 1,
    "candidates": 300,
    "score": 0.5,
    "parts": [{"name": "popularity", "score": 0.5}],
    "features": [],
    "sources": ["popularity"],
    "reasons": [{"code": "popular", "text": "Popular right now"}],
    "model": MODEL,
    "scenario": "home",
    "degraded_reason": "none",
}
REPLIES = {
    "RecommendReply": RecommendReply,
    "BatchReply": BatchReply,
    "ExplainReply": ExplainReply,
    "EventsReceipt": EventsReceipt,
}


def make_rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.ranking.on("POST", "/explain", lambda _: json_of(EXPLANATION))
    similar = {"items": [{"item_id": 8, "score": 0.5}], "counts": {}, "model": MODEL, "cold_start": False}
    rig.ranking.on("POST", "/similar", lambda _: json_of(similar))
    for method, path in (
        ("POST", "/items"),
        ("GET", "/items/17"),
        ("PATCH", "/items/17"),
        ("DELETE", "/items/17"),
        ("POST", "/users"),
        ("POST", "/users/merge"),
        ("GET", "/users/42"),
        ("PATCH", "/users/42"),
        ("DELETE", "/users/42"),
        ("GET", "/users/42/export"),
    ):
        rig.feature.on(method, path, lambda _: json_of({"known": True}))
    return rig


async def operations(tmp_path: Path) -> dict[str, Any]:
    async with serving(make_rig(tmp_path).app()) as app:
        document: dict[str, Any] = (await call(app, "GET", "/openapi.json")).document
    return document


async def run_example(tmp_path: Path, method: str, path: str, operation: dict[str, Any]) -> Answer:
    query = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace("{" + parameter["name"] + "}", quote(parameter["example"], safe=""))
        elif parameter["in"] == "query" and "example" in parameter:
            query[parameter["name"]] = parameter["example"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    async with serving(make_rig(tmp_path).app()) as app:
        return await call(app, method.upper(), path + ("?" + urlencode(query) if query else ""), body)


async def test_every_call_has_an_example_that_runs_and_answers_what_it_declares(tmp_path: Path) -> None:
    document = await operations(tmp_path)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answer = await run_example(tmp_path, method, path, operation)
            assert str(answer.status) in operation["responses"], (method, path, answer.body)
            assert answer.status < 300
            if method in ("post", "patch"):
                assert "example" in operation["requestBody"]["content"]["application/json"]
            declared = operation["responses"][str(answer.status)].get("content", {}).get("application/json", {})
            name = declared.get("schema", {}).get("$ref", "").rpartition("/")[2]
            if name in REPLIES:
                REPLIES[name].model_validate(answer.document)


async def test_the_calls_of_the_public_contract_are_all_there(tmp_path: Path) -> None:
    document = await operations(tmp_path)
    calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert calls == {
        "POST /recommend",
        "POST /recommend/batch",
        "GET /similar/{item_id}",
        "POST /explain",
        "GET /popular",
        "GET /trending",
        "GET /new",
        "POST /events",
        "POST /items",
        "GET /items/{item_id}",
        "PATCH /items/{item_id}",
        "DELETE /items/{item_id}",
        "POST /users",
        "GET /users/{user_id}",
        "PATCH /users/{user_id}",
        "DELETE /users/{user_id}",
        "POST /users/merge",
        "GET /users/{user_id}/export",
        "GET /livez",
        "GET /readyz",
        "GET /metrics",
    }


async def test_every_reference_leads_somewhere_and_every_call_declares_its_problems(tmp_path: Path) -> None:
    document = await operations(tmp_path)
    schemas = set(document["components"]["schemas"])
    assert {reference.rpartition("/")[2] for reference in references(document)} <= schemas
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path not in OPERATIONS and not path.endswith("/export"):
                assert {"4XX", "5XX"} <= set(operation["responses"]), (method, path)


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(child) for child in node.values()))
    return set().union(*(references(child) for child in node)) if isinstance(node, list) else set()


@pytest.mark.parametrize("path", ["/docs", "/v1/openapi.json"])
async def test_the_documentation_is_served(tmp_path: Path, path: str) -> None:
    async with serving(make_rig(tmp_path).app()) as app:
        assert (await call(app, "GET", path)).status == 200
