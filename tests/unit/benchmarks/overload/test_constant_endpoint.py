"""What takes the surplus of a surge answers every request of every connection; else nothing cancels."""

import asyncio

from benchmarks.overload.surge import constant_endpoint
from benchmarks.serving.load import open_loop


def test_the_endpoint_that_costs_nothing_answers_everything() -> None:
    with constant_endpoint() as url:
        seen = asyncio.run(open_loop(url, 100, 0.5, lambda number: {"user_id": number}))
    assert (len(seen.good_ms), seen.errors) == (50, {})
