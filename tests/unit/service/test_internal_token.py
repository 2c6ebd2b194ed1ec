"""Internal services answer our own processes only."""

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from shared.contracts.access import TOKEN_HEADER
from shared.service.app import create_service_app
from shared.service.bodies import json_reply
from shared.service.http_client import HttpClient
from shared.service.settings import Settings
from tests.asgi_client import call
from tests.unit.service.test_http_client import OK, listening, request_of


def make_app(**settings: Any) -> FastAPI:
    router = APIRouter()

    @router.get("/state")
    async def state(request: Request) -> Response:
        return json_reply("known")

    return create_service_app("feature", Settings(**settings), ready=lambda: None, routers=[router])


async def test_an_internal_service_refuses_callers_without_the_internal_token() -> None:
    app = make_app(internal_token="new-token, old-token")
    for headers in ({}, {TOKEN_HEADER: "wrong"}, {TOKEN_HEADER: ""}, {"x-api-key": "new-token"}):
        for path in ("/state", "/docs", "/openapi.json", "/nothing"):
            refused = await call(app, "GET", path, headers=headers)
            assert (refused.status, refused.document["code"]) == (401, "unauthenticated")
    for token in ("new-token", "old-token"):
        assert (await call(app, "GET", "/state", headers={TOKEN_HEADER: token})).status == 200
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await call(app, "GET", path)).status == 200


async def test_the_gateways_client_sends_the_token_with_every_call() -> None:
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heads.append(await request_of(reader))
            writer.write(OK)

    async with listening(serve) as url, HttpClient(url, "the-token") as client:
        await client.send("POST", "/rank", b"{}", 5000)
        async with client.stream("GET", "/users/1/export", 5000):
            pass
    assert all(f"{TOKEN_HEADER}: the-token" in head for head in heads)
    assert len(heads) == 2


def test_an_internal_service_without_a_token_refuses_to_bind_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        make_app(host="0.0.0.0")
    assert ended.value.code == 2
    assert "AISLE_INTERNAL_TOKEN" in capsys.readouterr().err
    make_app(host="0.0.0.0", internal_token="a-token")
    make_app(host="127.0.0.1")
