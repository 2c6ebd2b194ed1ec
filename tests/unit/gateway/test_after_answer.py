"""What is done after the answer: in batches, at once or with a pause between them."""

import asyncio
from collections.abc import Sequence

import pytest

from services.gateway.after_answer import AfterAnswer
from services.gateway.metrics import GatewayMetrics
from shared.service.metrics import ServiceMetrics


async def batches_of(arrivals: Sequence[Sequence[int]], pause_s: float) -> list[list[int]]:
    """Return the batches in which entries are written that arrive in groups, 5 ms apart."""
    written: list[list[int]] = []

    async def deliver(batch: Sequence[int]) -> None:
        written.append(list(batch))

    queue = AfterAnswer("impression", deliver, GatewayMetrics(ServiceMetrics("gateway")), pause_s=pause_s)
    running = asyncio.create_task(queue.run())
    for group in arrivals:
        for entry in group:
            queue.put(entry)
        await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await queue.flush()
    return written


async def test_entries_are_written_as_soon_as_there_are_any() -> None:
    assert await batches_of([[1, 2], [3], [4]], pause_s=0.0) == [[1, 2], [3], [4]]


async def test_entries_of_a_pause_share_a_batch_and_none_is_lost_when_the_process_ends() -> None:
    assert await batches_of([[1], [2], [3, 4]], pause_s=60.0) == [[1], [2, 3, 4]]
