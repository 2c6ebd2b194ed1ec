"""How soon an accepted event counts, and how many a second the worker brings home: real process, real stores."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import Engine

from services.feature.user_state import UserStates
from tests.integration.ingest_support import (
    Stores,
    append,
    await_drained,
    await_true,
    event,
    sent,
    stored_ids,
    user_states,
    worker_process,
)

FAR_AHEAD_MS = 2**50
PROMISED_S = 1.0
PROMISED_PER_S = 2000
WAVE = 4000
WAVES = 3
BATCH = 500


@pytest.fixture
async def stores(
    engine: Engine, database_url: str, stream_url: str, cache_url: str, unused_port: Callable[[], int]
) -> AsyncIterator[Stores]:
    """Return the stores of a worker that runs."""
    stores = Stores(database_url, stream_url, cache_url)
    with worker_process(stores, unused_port()):
        await append(stores, [sent(event("warm-up", "u:nobody"))])
        await_true(lambda: stored_ids(engine) == ["warm-up"], 30.0)
        yield stores


async def test_an_accepted_event_is_in_the_next_state_within_a_second(stores: Stores, engine: Engine) -> None:
    async with user_states(stores, engine) as states:
        waits_s = [await seconds_to_effect(stores, states, f"u:{number % 5}", str(number)) for number in range(25)]
    print(
        f"\nfrom acceptance to effect: median {sorted(waits_s)[12] * 1000:.0f} ms, worst {max(waits_s) * 1000:.0f} ms"
    )
    assert max(waits_s) < PROMISED_S


async def seconds_to_effect(stores: Stores, states: UserStates, user_key: str, event_id: str) -> float:
    """Accept one event; return how long it took until the shopper's state had it."""
    before, _ = await states.state(user_key, FAR_AHEAD_MS)
    await append(stores, [sent(event(event_id, user_key))])
    accepted_s = time.monotonic()
    while (await states.state(user_key, FAR_AHEAD_MS))[0].events == before.events:
        assert time.monotonic() - accepted_s < 10 * PROMISED_S
        await asyncio.sleep(0.002)
    return time.monotonic() - accepted_s


async def test_the_worker_keeps_up_with_two_thousand_events_a_second(stores: Stores, engine: Engine) -> None:
    shoppers = [f"u:{number}" for number in range(200)]
    async with user_states(stores, engine) as states:
        for user_key in shoppers:
            await states.state(user_key, FAR_AHEAD_MS)
    per_s = []
    for wave in range(WAVES):
        events = [
            sent(event(f"{wave}-{number}", shoppers[number % len(shoppers)], item_id=f"item {number % 1000}"))
            for number in range(WAVE)
        ]
        began_s = time.monotonic()
        for start in range(0, WAVE, BATCH):
            await append(stores, events[start : start + BATCH])
        await asyncio.to_thread(await_drained, stores)
        per_s.append(WAVE / (time.monotonic() - began_s))
    print(f"\nevents a second, accepted to acknowledged: {', '.join(f'{rate:.0f}' for rate in per_s)}")
    assert len(stored_ids(engine)) == WAVES * WAVE + 1
    # The best of three: the promise is for two cores, and other tests may be using them.
    assert max(per_s) >= PROMISED_PER_S
