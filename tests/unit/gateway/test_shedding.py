"""Who is refused at the door, and who is let in, while there are too many."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.types import Receive, Scope, Send

from services.gateway.access import VersionPrefix
from services.gateway.shedding import LISTS, Shedding
from shared.resilience.adaptive_limit import AdaptiveLimit
from shared.resilience.loop_beat import LoopBeat
from shared.service.app import create_service_app
from shared.service.bodies import json_reply
from shared.service.settings import Settings
from tests.asgi_client import Answer, call


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    await json_reply({"inside": True})(scope, receive, send)


async def ask(path: str, *, full: bool, behind: bool) -> Answer:
    """Ask a gateway that has one place."""
    places, beat = AdaptiveLimit(1, target_ms=100), LoopBeat()
    beat.take(1.0 if behind else 0.0)
    door: Any = Shedding(inside, places, beat)
    with ExitStack() as taken:
        if full:
            taken.enter_context(places.slot("somebody"))
        return await call(door, "POST", path, {})


@pytest.mark.parametrize("path", LISTS)
async def test_a_list_too_many_for_a_loop_that_is_behind_is_a_503_that_says_when_to_come_again(path: str) -> None:
    refused = await ask(path, full=True, behind=True)
    assert (refused.status, refused.document["code"], refused.headers["retry-after"]) == (503, "unavailable", "1")


@pytest.mark.parametrize(("full", "behind"), [(True, False), (False, True), (False, False)])
async def test_a_free_place_or_a_loop_on_time_lets_a_request_in(full: bool, behind: bool) -> None:
    assert (await ask("/recommend", full=full, behind=behind)).status == 200


@pytest.mark.parametrize("path", ["/events", "/livez", "/readyz", "/metrics", "/popular", "/users/1"])
async def test_what_makes_no_live_list_is_let_in_however_many_lists_are_wanted(path: str) -> None:
    assert (await ask(path, full=True, behind=True)).status == 200


@pytest.mark.parametrize("path", ["/recommend", "/v1/recommend"])
async def test_a_refusal_counts_as_a_request_of_its_route(tmp_path: Path, path: str) -> None:
    places, beat = AdaptiveLimit(0, target_ms=100), LoopBeat()
    beat.take(1.0)
    door = [Middleware(VersionPrefix), Middleware(Shedding, places=places, beat=beat)]
    app = create_service_app("gateway", Settings(home=tmp_path), ready=lambda: None, middleware=door)
    assert (await call(app, "POST", path, {})).status == 503
    figures = (await call(app, "GET", "/metrics")).body.decode()
    assert 'method="POST",route="/recommend",service="gateway",status="503"} 1.0' in figures
