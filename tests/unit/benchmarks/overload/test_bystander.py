"""The bystander's figures: every request of an errand is asked in its moment, and timed from it."""

import asyncio
from collections.abc import Mapping

from benchmarks.overload.bystander import CONNECTIONS, PAUSE_S
from benchmarks.overload.surge import Target, ask_as_bystander, constant_endpoint

NOBODY: Mapping[str, str] = {}
SECONDS = 1.0


def test_a_bystander_asks_at_its_rate_and_tells_what_it_got_and_when() -> None:
    with constant_endpoint() as url:
        target = Target(url, lambda number: {"user_id": number}, NOBODY, deadline_ms=300)
        seen = asyncio.run(ask_as_bystander(target, SECONDS))
    assert len(seen) == CONNECTIONS * SECONDS / PAUSE_S
    assert {kind for kind, _ in seen} == {"none"}
    assert all(0 < took_ms < 10_000 for _, took_ms in seen)
