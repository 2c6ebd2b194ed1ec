"""Who is let in: keys, their scopes, their rates, and the port for the inside."""

from pathlib import Path
from typing import Any

import pytest

from services.gateway.refreshed_copy import REFRESH_S
from services.gateway.scopes import PROBES, scope_of
from shared.contracts.access import ApiKeys, Scope
from tests.asgi_client import call
from tests.fakes import START_MS
from tests.unit.gateway.rig import Rig, serving, settle

CALLS = {
    Scope.RECOMMEND: [("POST", "/recommend"), ("POST", "/recommend/batch"), ("GET", "/similar/1"), ("GET", "/popular")],
    Scope.INGEST: [("POST", "/events"), ("POST", "/users"), ("POST", "/users/merge")],
    Scope.CATALOG: [("POST", "/items"), ("GET", "/items/1"), ("PATCH", "/items/1"), ("DELETE", "/items/1")],
    Scope.PRIVACY: [("GET", "/users/1"), ("PATCH", "/users/1"), ("DELETE", "/users/1"), ("GET", "/users/1/export")],
    Scope.ADMIN: [("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/no-such-path")],
}


async def status(app: Any, method: str, path: str, key: str | None = None) -> tuple[int, str]:
    answer = await call(app, method, path, headers={} if key is None else {"x-api-key": key})
    problem = answer.headers["content-type"] == "application/problem+json"
    return answer.status, answer.document["code"] if problem else ""


def closed_rig(tmp_path: Path, **settings: Any) -> Rig:
    rig = Rig(tmp_path, **settings)
    for scope in Scope:
        rig.keys.issue(f"key-{scope}", scope)
    return rig


async def test_a_key_opens_the_calls_of_its_scope_and_a_key_of_another_scope_is_a_403(tmp_path: Path) -> None:
    async with serving(closed_rig(tmp_path).app()) as app:
        for wanted, calls in CALLS.items():
            for method, path in calls:
                for prefix in ("", "/v1"):
                    for scope in Scope:
                        answered = await status(app, method, prefix + path, f"key-{scope}")
                        refused = scope not in (wanted, Scope.ADMIN)
                        assert (answered == (403, "forbidden")) is refused, (method, path, scope, answered)
                    assert await status(app, method, prefix + path) == (401, "unauthenticated")
                    assert await status(app, method, prefix + path, "key-of-nobody") == (401, "unauthenticated")


async def test_every_call_of_the_public_contract_has_a_scope_that_someone_chose(tmp_path: Path) -> None:
    async with serving(Rig(tmp_path).app()) as app:
        paths = (await call(app, "GET", "/openapi.json")).document["paths"]
    for path, methods in paths.items():
        for method in methods:
            scope = scope_of(method.upper(), path.replace("{item_id}", "1").replace("{user_id}", "1"))
            if path not in PROBES:
                assert (scope is Scope.ADMIN) == (path == "/metrics"), (method, path)
                assert (methods[method]["security"], methods[method]["x-scope"]) == ([{"ApiKey": []}], scope)


@pytest.mark.parametrize("path", ["//recommend", "/recommend/", "/RECOMMEND", "/v1/v1/recommend", "/recommend%00"])
async def test_a_path_that_is_nearly_one_of_ours_is_not_open(tmp_path: Path, path: str) -> None:
    async with serving(closed_rig(tmp_path).app()) as app:
        assert (await status(app, "POST", path))[0] == 401
        assert (await status(app, "POST", path, "key-recommend"))[0] == 403


async def test_probes_need_no_key_and_two_keys_are_none(tmp_path: Path) -> None:
    async with serving(closed_rig(tmp_path).app()) as app:
        assert (await status(app, "GET", "/livez"))[0] == 200
        assert (await status(app, "GET", "/readyz"))[0] == 200
        twice = [(b"x-api-key", b"key-admin"), (b"x-api-key", b"key-admin")]
        assert await _status_of_headers(app, twice) == 401


async def _status_of_headers(app: Any, headers: list[tuple[bytes, bytes]]) -> int:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(
        {"type": "http", "method": "GET", "path": "/popular", "query_string": b"", "headers": headers}, receive, send
    )
    return int(sent[0]["status"])


async def test_a_revoked_key_ends_at_the_word_of_the_change_stream_and_without_it_within_seconds(
    tmp_path: Path,
) -> None:
    rig = closed_rig(tmp_path)
    async with serving(rig.app()) as app:
        assert (await status(app, "GET", "/popular", "key-recommend"))[0] == 200
        rig.keys.keys = ApiKeys(issued=True, keys=[])
        rig.changes.keys(START_MS)
        await settle()
        assert await status(app, "GET", "/popular", "key-recommend") == (401, "unauthenticated")
    assert REFRESH_S < 60


async def test_a_key_that_ends_by_itself_is_refused_from_that_moment_on(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.keys.issue("old", Scope.RECOMMEND, expires_at_ms=START_MS + 10_000)
    rig.keys.issue("new", Scope.RECOMMEND)
    async with serving(rig.app()) as app:
        assert [(await status(app, "GET", "/popular", key))[0] for key in ("old", "new")] == [200, 200]
        rig.clock.advance(10)
        assert [(await status(app, "GET", "/popular", key))[0] for key in ("old", "new")] == [401, 200]


async def test_the_first_key_closes_an_open_gateway_and_the_last_revocation_does_not_open_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    async with serving(rig.app()) as app:
        assert (await status(app, "GET", "/popular"))[0] == 200
        rig.keys.issue("first", Scope.RECOMMEND)
        rig.changes.keys(START_MS)
        await settle()
        assert (await status(app, "GET", "/popular"))[0] == 401
        rig.keys.keys = ApiKeys(issued=True, keys=[])
        rig.changes.keys(START_MS)
        await settle()
        assert (await status(app, "GET", "/popular"))[0] == 401


async def test_known_keys_outlive_the_stream_server_and_a_restart_and_the_file_holds_no_key(tmp_path: Path) -> None:
    rig = closed_rig(tmp_path)
    async with serving(rig.app()) as app:
        rig.keys.down = True
        rig.changes.keys(START_MS)
        await settle()
        assert (await status(app, "GET", "/popular", "key-recommend"))[0] == 200
    again = Rig(tmp_path)
    again.keys.down = True
    async with serving(again.app()) as app:
        assert (await status(app, "GET", "/popular", "key-recommend"))[0] == 200
        assert (await status(app, "GET", "/popular"))[0] == 401
    assert "key-recommend" not in rig.settings.keys_snapshot_path.read_text()


async def test_a_gateway_that_requires_keys_answers_nobody_before_there_is_one(tmp_path: Path) -> None:
    rig = Rig(tmp_path, require_keys=True)
    rig.keys.down = True
    async with serving(rig.app()) as app:
        assert (await status(app, "GET", "/popular"))[0] == 401
        assert (await status(app, "GET", "/readyz"))[0] == 200


async def test_a_key_that_asks_too_often_gets_a_429_with_retry_after_and_others_do_not(tmp_path: Path) -> None:
    rig = closed_rig(tmp_path)
    rig.keys.issue("hasty", Scope.RECOMMEND, requests_per_s=10.0)
    rig.rates.tokens = 1
    async with serving(rig.app()) as app:
        assert (await status(app, "GET", "/popular", "hasty"))[0] == 200
        refused = await call(app, "GET", "/popular", headers={"x-api-key": "hasty"})
        assert (refused.status, refused.document["code"], refused.headers["retry-after"]) == (429, "rate_limited", "1")
        rig.rates.tokens = 1000
        rig.clock.advance(1)
        assert (await status(app, "GET", "/popular", "hasty"))[0] == 200


async def test_a_refused_flood_asks_the_store_once_and_a_busy_key_far_less_than_once_a_request(tmp_path: Path) -> None:
    rig = closed_rig(tmp_path, rate_limit_per_s=1000)
    async with serving(rig.app()) as app:
        answers = [(await status(app, "GET", "/popular", "key-recommend"))[0] for _ in range(300)]
        assert set(answers) == {200}
        assert rig.rates.asked == 3
        rig.rates.tokens = 0
        rig.clock.advance(1)
        answers = [(await status(app, "GET", "/popular", "key-recommend"))[0] for _ in range(50)]
        assert set(answers) == {429}
        assert rig.rates.asked == 4


async def test_without_the_store_each_gateway_keeps_the_limit_by_itself_and_never_fails(tmp_path: Path) -> None:
    rig = closed_rig(tmp_path, rate_limit_per_s=10)
    rig.rates.down = True
    async with serving(rig.app()) as app:
        answers = [(await status(app, "GET", "/popular", "key-recommend"))[0] for _ in range(30)]
        # Two seconds' worth at once, then the rate.
        assert answers == [200] * 20 + [429] * 10
        rig.clock.advance(1)
        answers = [(await status(app, "GET", "/popular", "key-recommend"))[0] for _ in range(15)]
        assert answers == [200] * 10 + [429] * 5


@pytest.mark.parametrize("down", [False, True])
async def test_a_batch_counts_for_each_of_its_requests(tmp_path: Path, down: bool) -> None:
    rig = closed_rig(tmp_path, rate_limit_per_s=10)
    rig.rates.tokens, rig.rates.down = 20, down
    headers = {"x-api-key": "key-recommend", "content-type": "application/json"}
    async with serving(rig.app()) as app:
        batch = {"requests": [{"user_id": number} for number in range(30)]}
        assert (await call(app, "POST", "/recommend/batch", batch, headers=headers)).status == 200
        refused = await call(app, "GET", "/popular", headers=headers)
        # Twenty were there, ten are owed, and one more is wanted.
        assert (refused.status, refused.headers["retry-after"]) == (429, "2")
        rig.clock.advance(2)
        rig.rates.tokens += 20
        assert (await call(app, "GET", "/popular", headers=headers)).status == 200


async def test_a_slow_store_costs_its_timeout_and_no_error(tmp_path: Path) -> None:
    rig = closed_rig(tmp_path, cache_timeout_ms=5)
    rig.rates.delay_s = 5.0
    async with serving(rig.app()) as app:
        assert (await status(app, "GET", "/popular", "key-recommend"))[0] == 200


async def test_figures_are_on_the_inner_port_only_and_nothing_else_is(tmp_path: Path) -> None:
    # The test client calls on port 80.
    async with serving(closed_rig(tmp_path, admin_port=80).app()) as app:
        assert (await status(app, "GET", "/metrics"))[0] == 200
        assert (await status(app, "GET", "/livez"))[0] == 200
        assert await status(app, "GET", "/popular", "key-admin") == (404, "not_found")
    async with serving(closed_rig(tmp_path, admin_port=81).app()) as app:
        assert await status(app, "GET", "/metrics", "key-admin") == (404, "not_found")
        assert (await status(app, "GET", "/popular", "key-admin"))[0] == 200


async def test_what_operates_the_platform_is_not_at_the_public_gateway(tmp_path: Path) -> None:
    async with serving(Rig(tmp_path).app()) as app:
        for method, path in (
            ("POST", "/runs"),
            ("GET", "/models"),
            ("GET", "/model"),
            ("POST", "/state"),
            ("POST", "/rank"),
        ):
            assert await status(app, method, path) == (404, "not_found")


async def test_every_answer_carries_the_security_headers_and_is_not_kept_by_others(tmp_path: Path) -> None:
    async with serving(closed_rig(tmp_path).app()) as app:
        for key in ("key-recommend", "wrong"):
            answer = await call(
                app,
                "POST",
                "/recommend",
                {"user_id": 1},
                headers={"x-api-key": key, "content-type": "application/json"},
            )
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
            assert "server" not in answer.headers
