"""Bad input of every kind: always a small problem document with a code of the closed list, never the value sent."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.contracts.problems import Problem
from tests.asgi_client import JSON, Answer, call
from tests.unit.gateway.rig import Rig, serving

CANARY = "canary-7f3a"


async def send(tmp_path: Path, method: str, target: str, **request: Any) -> Answer:
    async with serving(Rig(tmp_path).app()) as app:
        return await call(app, method, target, **request)


def assert_problem(answer: Answer, status: int, code: str) -> Problem:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.body) < 1024
    assert CANARY.encode() not in answer.body
    assert b"Traceback" not in answer.body
    problem = Problem.model_validate(answer.document)
    assert (problem.status, problem.code.value) == (status, code)
    assert problem.request_id == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize("num_items", [0, -1, 201, 1_000_000_000, 10**30, "5", 5.5, 5.0, None, True, [5], {}])
async def test_num_items_is_a_json_integer_from_1_to_200_and_the_refusal_names_the_field(
    tmp_path: Path, num_items: Any
) -> None:
    body = orjson.dumps({"user_id": 1})[:-1] + b',"num_items":' + _json(num_items) + b"}"
    problem = assert_problem(
        await send(tmp_path, "POST", "/recommend", body=body, headers=JSON), 422, "invalid_request"
    )
    assert problem.errors[0].loc == ["body", "num_items"]
    if isinstance(num_items, int) and not isinstance(num_items, bool) and abs(num_items) < 2**60:
        assert "200" in problem.detail or "1" in problem.detail


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"unknown_field": CANARY}, "unknown_field"),
        ({"model_version": CANARY}, "model_version"),
        ({"is_admin": True}, "is_admin"),
        ({"user_id": True}, "user_id"),
        ({"user_id": 1.5}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": CANARY + "\r\nSET x 1"}, "user_id"),
        ({"user_id": CANARY + "\u202e"}, "user_id"),
        ({"user_id": CANARY + "\x00"}, "user_id"),
        ({"user_id": CANARY * 12}, "user_id"),
        ({"context": CANARY}, "context"),
        ({"context": {"latitude": 91}}, "context.latitude"),
        ({"context": {"budget": {"min": 5, "max": 1}}}, "context.budget"),
        ({"context": {"local_time": "2026-03-14T18:30:00"}}, "context.local_time"),
        ({"context": {"currency": CANARY}}, "context.currency"),
        ({"filter": "x" * 5001}, "filter"),
        ({"exclude": list(range(1001))}, "exclude"),
        ({"exclude": [None]}, "exclude.0"),
        ({"diversity": 1.1}, "diversity"),
        ({"repeat": CANARY}, "repeat"),
        ({"return": {"explain": CANARY}}, "return.explain"),
        ({"return": {"scores": 1}}, "return.scores"),
        ({"objective": {"click": -1}}, "objective.click"),
        ({"timeout_ms": 5}, "timeout_ms"),
        ({"dry_run": "true"}, "dry_run"),
        ({"scenario": CANARY + "/../"}, "scenario"),
    ],
)
async def test_a_field_that_is_not_valid_is_named_and_its_value_is_not_repeated(
    tmp_path: Path, fields: dict[str, Any], place: str
) -> None:
    answer = await send(tmp_path, "POST", "/recommend", document={"user_id": 1} | fields)
    problem = assert_problem(answer, 422, "invalid_request")
    assert ".".join(str(part) for part in problem.errors[0].loc[1:]) == place


async def test_a_request_for_nobody_is_refused(tmp_path: Path) -> None:
    assert_problem(await send(tmp_path, "POST", "/recommend", document={"num_items": 5}), 422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"user_id": 1,}',
        b'{"user_id": NaN}',
        b'{"user_id": 1, "context": {"latitude": Infinity}}',
        b'{"user_id": 1, "user_id": 2}',
        b'{"user_id": 1, "context": {"page": "a", "page": "b"}}',
        b'{"user_id": "\xff\xfe"}',
        b'{"user_id": "\\ud800"}',
        b'{"user_id": 1} {"user_id": 2}',
        b'{"user_id": 1, "context": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"user_id": 1, "context": {"a": ' + b'{"a":' * 40 + b"1" + b"}" * 42,
    ],
)
async def test_what_is_no_strict_json_is_a_400(tmp_path: Path, body: bytes) -> None:
    assert_problem(await send(tmp_path, "POST", "/recommend", body=body, headers=JSON), 400, "invalid_json")


@pytest.mark.parametrize("body", [b"5", b"[]", b"null", b'"text"', b"true"])
async def test_json_that_is_no_object_is_a_422(tmp_path: Path, body: bytes) -> None:
    assert_problem(await send(tmp_path, "POST", "/recommend", body=body, headers=JSON), 422, "invalid_request")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("price <=", 9),
        (f'price <= "{CANARY}"', 10),
        ("__import__('os')", 1),
        ("(price < 5", 11),
        ("not " * 200 + "in_stock", None),
    ],
)
async def test_a_bad_filter_is_a_400_with_its_column(tmp_path: Path, text: str, column: int | None) -> None:
    answer = await send(tmp_path, "POST", "/recommend", document={"user_id": 1, "filter": text})
    problem = assert_problem(answer, 400, "invalid_filter")
    assert isinstance(problem.errors[0].loc[1], int)
    if column is not None:
        assert problem.errors[0].loc == ["filter", column]
        assert f"column {column}" in problem.detail


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_a_body_of_another_type_or_a_compressed_one_is_a_415(tmp_path: Path, headers: dict[str, str]) -> None:
    answer = await send(tmp_path, "POST", "/recommend", body=b'{"user_id": 1}', headers=headers)
    assert_problem(answer, 415, "unsupported_media_type")


async def test_json_types_with_parameters_and_suffixes_are_accepted(tmp_path: Path) -> None:
    for media_type in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/ld+json"):
        headers = {"content-type": media_type}
        assert (await send(tmp_path, "POST", "/recommend", body=b'{"user_id": 1}', headers=headers)).status == 200


@pytest.mark.parametrize(
    ("target", "limit"),
    [("/recommend", 2**18), ("/recommend/batch", 2**18), ("/events", 2**20), ("/items", 2**23), ("/users", 2**23)],
)
async def test_bodies_above_their_limit_are_a_413_with_and_without_a_declared_length(
    tmp_path: Path, target: str, limit: int
) -> None:
    declared = JSON | {"content-length": str(limit + 1)}
    assert_problem(await send(tmp_path, "POST", target, body=b"{}", headers=declared), 413, "body_too_large")
    chunks = [b" " * 2**16] * (limit // 2**16) + [b" "]
    assert_problem(await send(tmp_path, "POST", target, body=chunks, headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize("target", ["/recommend", "/recommend/batch", "/events"])
async def test_get_on_a_post_path_is_a_405_that_names_the_method(tmp_path: Path, target: str) -> None:
    answer = await send(tmp_path, "GET", target)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("target", ["/nothing", "/v1/nothing", "/v1", "/v1/v1/recommend", "/recommend/"])
async def test_an_unknown_path_is_a_404(tmp_path: Path, target: str) -> None:
    assert_problem(await send(tmp_path, "GET", target), 404, "not_found")


@pytest.mark.parametrize(
    "target",
    ["/popular?num_items=0", "/popular?num_items=x", "/new?limit=5", "/similar/1?kind=other", "/trending?window=1y"],
)
async def test_bad_queries_of_lists_are_422(tmp_path: Path, target: str) -> None:
    assert_problem(await send(tmp_path, "GET", target), 422, "invalid_request")


@pytest.mark.parametrize(
    "document",
    [{"requests": []}, {"requests": [{"user_id": 1}] * 101}, {"requests": [1]}, {"requests": [], "x": 1}, []],
)
async def test_a_bad_batch_is_refused_as_a_whole(tmp_path: Path, document: Any) -> None:
    assert_problem(await send(tmp_path, "POST", "/recommend/batch", document=document), 422, "invalid_request")


async def test_many_wrong_fields_still_fit_into_a_small_answer(tmp_path: Path) -> None:
    document = {"user_id": 1} | {f"unknown-{number}-{'x' * 500}": CANARY for number in range(200)}
    assert_problem(await send(tmp_path, "POST", "/recommend", document=document), 422, "invalid_request")


def _json(value: Any) -> bytes:
    return str(value).encode() if isinstance(value, int) and not isinstance(value, bool) else orjson.dumps(value)
