"""POST /explain at the gateway: two calls, one language, and honest refusals."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI

from services.gateway.explain import preferred
from tests.asgi_client import call
from tests.contract.test_openapi import EXPLANATION
from tests.fakes import json_of
from tests.unit.gateway.rig import Rig, serving


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.ranking.on("POST", "/explain", lambda _: json_of(EXPLANATION))
    return rig


@pytest.fixture
async def app(rig: Rig) -> AsyncIterator[FastAPI]:
    async with serving(rig.app()) as app:
        yield app


def sent(rig: Rig) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(rig.ranking.calls["POST", "/explain"][-1] or b"")
    return document


async def test_the_list_asked_about_and_the_state_go_to_ranking(rig: Rig, app: FastAPI) -> None:
    asked = {"user_id": 1, "item_id": 17, "num_items": 5, "diversity": 0.4, "context": {"page": "cart"}}
    answer = await call(app, "POST", "/v1/explain", asked)
    assert answer.status == 200
    assert answer.document["sentence"] == EXPLANATION["sentence"]
    body = sent(rig)
    assert (body["item_id"], body["num_items"], body["diversity"], body["scenario"]) == ("17", 5, 0.4, "cart")
    assert body["state"]["version"] == "s1"


@pytest.mark.parametrize(
    ("context", "header", "language"),
    [
        (None, None, "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "en;q=0.5, zh;q=0.7", "zh"),
        (None, "de, zh;q=0.7", "en"),
        (None, "zh;q=no, ;;,q=", "en"),
        ({"language": "en"}, "zh", "en"),
        ({"language": "zh-TW"}, "en", "zh"),
        ({"language": 5}, "zh", "zh"),
    ],
)
async def test_language_of_the_context_then_of_the_header(
    rig: Rig, app: FastAPI, context: Any, header: str | None, language: str
) -> None:
    body = orjson.dumps({"user_id": 1, "item_id": 17} | ({"context": context} if context else {}))
    headers = {"content-type": "application/json"} | ({"accept-language": header} if header else {})
    assert (await call(app, "POST", "/explain", body=body, headers=headers)).status == 200
    assert sent(rig)["language"] == language


def test_highest_weight_wins_and_the_first_of_equals() -> None:
    assert preferred("a;q=0.3, b, c;q=1") == "b"
    assert preferred("") == ""


async def test_without_feature_the_explanation_is_made_of_the_request_alone(rig: Rig, app: FastAPI) -> None:
    rig.feature.down = True
    assert (await call(app, "POST", "/explain", {"user_id": 1, "item_id": 17})).status == 200
    assert sent(rig)["state"] is None


async def test_refusals_have_their_codes(rig: Rig, app: FastAPI) -> None:
    async def status(**asked: Any) -> tuple[int, str]:
        answer = await call(app, "POST", "/explain", {"user_id": 1, "item_id": 17} | asked)
        return answer.status, answer.document["code"]

    assert await status(filter="price <") == (400, "invalid_filter")
    assert await status(diversity=2) == (422, "invalid_request")
    assert await status(nonsense=2) == (422, "invalid_request")
    assert (await call(app, "POST", "/explain", {"user_id": 1})).status == 422
    rig.ranking.on("POST", "/explain", lambda _: json_of({"code": "not_found"}, 404))
    assert await status() == (404, "not_found")
    rig.ranking.on("POST", "/explain", lambda _: json_of({"odd": 1}))
    assert await status() == (503, "unavailable")
    rig.ranking.down = True
    assert await status() == (503, "unavailable")
