"""Wait for an answer as long as allowed, without taking the time this process spent elsewhere for the other's.

Called by   services/gateway/list_store.py, services/feature/user_state.py, around a store's answer within milliseconds
Rule        the time passes in slices, each begun when the loop comes round: a loop that was busy with other requests
            for longer than all of them has used up one, and in the next the call takes its next step
Why         a call to a store takes some turns of the loop. While a turn takes 50 ms, a timer of 15 ms fires before the
            answer of 1 ms is read. Taken for the store's failure it opens the breaker, and all that the store held is
            made anew just when there is no time
Errors      TimeoutError; what the call itself raises
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

SLICES = 5
"""turns of the loop that redis-py needs: a connection from the pool, its check, a task that sends, the reply"""

T = TypeVar("T")


async def in_time(call: Coroutine[Any, Any, T], timeout_ms: float) -> T:
    """Return what the call returns; end it when it takes too long, or when nobody waits for it any more."""
    task = asyncio.create_task(call)
    task.add_done_callback(_read_outcome)
    try:
        for _ in range(SLICES):
            done, _ = await asyncio.wait({task}, timeout=timeout_ms / SLICES / 1000)
            if done:
                return task.result()
        raise TimeoutError(f"no answer within {timeout_ms:.0f} ms")
    finally:
        task.cancel()


def _read_outcome(task: "asyncio.Task[Any]") -> None:
    """Look at an exception that comes after everybody has left, or asyncio reports it as never retrieved."""
    if not task.cancelled():
        task.exception()
