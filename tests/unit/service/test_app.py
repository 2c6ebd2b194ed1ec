import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from shared.contracts.recommendation import RecommendRequest
from shared.service import bodies
from shared.service.app import create_service_app
from shared.service.bodies import json_reply, read_body, read_model
from shared.service.openapi import json_body
from shared.service.problems import not_found
from shared.service.request_context import current_request, request_deadline
from shared.service.settings import Settings
from tests.asgi_client import call

LIMIT = 100


def make_app(**settings: Any) -> FastAPI:
    router = APIRouter()

    @router.post("/echo", openapi_extra=json_body(RecommendRequest, example={"user_id": 1}))
    async def echo(request: Request) -> Response:
        body = await read_model(request, RecommendRequest, LIMIT)
        return json_reply({"user_id": body.user_id, "num_items": body.num_items})

    @router.post("/size")
    async def size(request: Request) -> Response:
        return json_reply(len(await read_body(request, LIMIT)))

    @router.get("/deadline")
    async def deadline(request: Request) -> Response:
        return json_reply({"ms": request_deadline(500).remaining_ms(), "id": current_request().request_id})

    @router.get("/things/{thing_id:path}")
    async def thing(request: Request) -> Response:
        raise not_found("thing")

    @router.get("/bug")
    async def bug(request: Request) -> Response:
        raise RuntimeError("password=hunter2")

    @router.get("/slow")
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return json_reply("done")

    return create_service_app("test", Settings(**settings), ready=lambda: app_state.reason, routers=[router])


class app_state:  # noqa: N801 - one mutable word the tests set
    reason: str | None = None


@pytest.fixture
def app() -> FastAPI:
    app_state.reason = None
    return make_app()


async def test_a_request_id_is_echoed_and_a_missing_or_unsafe_one_is_made(app: FastAPI) -> None:
    echoed = await call(app, "GET", "/livez", headers={"X-Request-Id": "shop-17"})
    assert echoed.headers["x-request-id"] == "shop-17"
    made = await call(app, "GET", "/livez")
    replaced = await call(app, "GET", "/livez", headers={"X-Request-Id": "a b\tc"})
    assert len(made.headers["x-request-id"]) == len(replaced.headers["x-request-id"]) == 32


async def test_traceparent_is_echoed_only_if_it_is_one(app: FastAPI) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert (await call(app, "GET", "/livez", headers={"traceparent": trace})).headers["traceparent"] == trace
    zeros = f"00-{'0' * 32}-b7ad6b7169203331-01"
    assert "traceparent" not in (await call(app, "GET", "/livez", headers={"traceparent": zeros})).headers


async def test_the_callers_deadline_is_read_and_a_missing_one_is_the_default(app: FastAPI) -> None:
    given = (await call(app, "GET", "/deadline", headers={"X-Aisle-Deadline-Ms": "120"})).document
    assert 60 < given["ms"] <= 120
    assert 300 < (await call(app, "GET", "/deadline")).document["ms"] <= 500


async def test_readiness_names_its_reason_and_ends_when_the_service_stops(app: FastAPI) -> None:
    assert (await call(app, "GET", "/readyz")).status == 200
    app_state.reason = "model is loading"
    refused = await call(app, "GET", "/readyz")
    assert (refused.status, refused.document["detail"]) == (503, "model is loading")
    app_state.reason = None
    app.state.drain.begin()
    assert (await call(app, "GET", "/readyz")).document["detail"] == "stopping"
    assert (await call(app, "GET", "/livez")).status == 200


async def test_a_bug_is_a_500_that_says_nothing_and_carries_the_request_id(
    app: FastAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await call(app, "GET", "/bug", headers={"X-Request-Id": "r-1"})
    assert answer.status == 500
    assert answer.document["code"] == "internal"
    assert answer.document["request_id"] == answer.headers["x-request-id"] == "r-1"
    assert b"hunter2" not in answer.body
    assert b"Traceback" not in answer.body
    capsys.readouterr()


async def test_a_body_too_large_is_refused_while_it_arrives(app: FastAPI) -> None:
    declared = await call(app, "POST", "/size", body=b"x", headers={"content-length": str(LIMIT + 1)})
    assert declared.status == 413
    chunked = await call(app, "POST", "/size", body=[b"x" * 60, b"x" * 60, b"x" * 60])
    assert chunked.status == 413
    assert chunked.document["code"] == "body_too_large"
    assert chunked.headers["connection"] == "close"
    assert (await call(app, "POST", "/size", body=b"x" * LIMIT)).document == LIMIT


async def test_a_body_that_trickles_in_is_given_up(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.02)
    scope = {"type": "http", "method": "POST", "path": "/size", "query_string": b"", "headers": [], "root_path": ""}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.005)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_more_requests_at_once_than_allowed_get_503_at_once_and_probes_still_answer() -> None:
    app = make_app(max_requests=2)
    held = [asyncio.create_task(call(app, "GET", "/slow")) for _ in range(2)]
    await asyncio.sleep(0.01)
    refused = await call(app, "GET", "/slow")
    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert (await call(app, "GET", "/livez")).status == 200
    assert [answer.status for answer in await asyncio.gather(*held)] == [200, 200]
    assert (await call(app, "GET", "/slow")).status == 200


async def test_headers_larger_than_32_kib_are_refused(app: FastAPI) -> None:
    assert (await call(app, "GET", "/livez", headers={"x-long": "a" * 40_000})).status == 431


async def test_metrics_count_by_route_template_and_never_by_path(app: FastAPI) -> None:
    await call(app, "GET", "/things/secret-id-1")
    await call(app, "GET", "/no/such/path")
    await call(app, "BREW", "/livez")
    text = (await call(app, "GET", "/metrics")).body.decode()
    assert 'aisle_http_requests_total{method="GET",route="/things/{thing_id}",service="test",status="404"} 1.0' in text
    assert 'route="unmatched",service="test",status="404"} 1.0' in text
    assert "secret-id-1" not in text
    assert "BREW" not in text


async def test_paths_and_methods_that_do_not_exist_are_problem_documents(app: FastAPI) -> None:
    missing = await call(app, "GET", "/nowhere")
    assert (missing.status, missing.document["code"]) == (404, "not_found")
    wrong = await call(app, "GET", "/echo")
    assert (wrong.status, wrong.document["code"], wrong.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert wrong.headers["content-type"] == "application/problem+json"


async def test_openapi_knows_the_models_of_bodies_the_routes_parse_themselves(app: FastAPI) -> None:
    document = (await call(app, "GET", "/openapi.json")).document
    body = document["paths"]["/echo"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/RecommendRequest"}
    assert {"RecommendRequest", "Context", "Problem"} <= set(document["components"]["schemas"])
