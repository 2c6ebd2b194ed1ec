"""F7: the worker is killed with SIGKILL in mid batch, twenty times: nothing is lost, nothing is doubled."""

import functools
import random
import time
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from services.feature.user_state import UserStates
from shared.contracts.internal import UserState
from shared.storage.history import in_order
from shared.storage.redis.user_state import MAX_EVENTS
from shared.storage.relational.interactions import newest_events
from tests.integration.ingest_support import (
    Stores,
    append,
    await_drained,
    await_true,
    backlog,
    event,
    online_states,
    sent,
    stored_ids,
    user_states,
    worker_process,
)

KILLS = 20
EVENTS_PER_KILL = 500
FAR_AHEAD_MS = 2**50
SHOPPERS = [f"u:{number}" for number in range(25)]


@pytest.mark.case("F7")
@pytest.mark.quick
async def test_killed_twenty_times_every_accepted_event_is_stored_once_and_online_equals_a_recount(
    engine: Engine,
    database_url: str,
    stream_url: str,
    cache_url: str,
    unused_port: Callable[[], int],
    held: Callable[[str], None],
) -> None:
    stores = Stores(database_url, stream_url, cache_url)
    chance = random.Random(7)
    accepted: list[str] = []
    ends: Counter[tuple[str, bool]] = Counter()
    async with user_states(stores, engine) as states:
        for kill in range(KILLS):
            await read_all(states)
            with worker_process(stores, unused_port()) as process:
                wave = [
                    sent(event(f"{kill}-{number}", chance.choice(SHOPPERS), item_id=f"item {number % 50}"))
                    for number in range(EVENTS_PER_KILL)
                ]
                assert set(await append(stores, wave)) == {"accepted"}
                accepted += [entry.event_id for entry in wave]
                # The worker has the whole wave in its hands now, and needs some 60 ms for it.
                await_true(lambda: backlog(stores).unread == 0, 20.0)
                if kill % 2:
                    await_true(functools.partial(is_committed, engine, kill))
                time.sleep(chance.uniform(0.0, 0.02))
                process.kill()
                process.wait()
            ends[("after" if is_committed(engine, kill) else "before", backlog(stores).pending > 0)] += 1
        await read_all(states)
        with worker_process(stores, unused_port()):
            await_drained(stores)

        assert ends["before", True] + ends["after", True] >= KILLS / 4, "too few of the kills met a batch"
        assert stored_ids(engine) == sorted(accepted)
        assert len(accepted) == KILLS * EVENTS_PER_KILL
        await assert_online_equals_recount(stores, engine, complete=set())
        found = await read_all(states)
        await assert_online_equals_recount(stores, engine, complete=set(SHOPPERS))
    assert sum(state.features["browse_count"] for state in found) == len(accepted)
    unfinished = ends["before", True] + ends["after", True]
    held(f"{len(accepted):,} acknowledged, {len(accepted):,} stored, {KILLS} kills, {unfinished} in mid batch")


def is_committed(engine: Engine, kill: int) -> bool:
    """Return whether a wave is in Postgres; its events came in one batch."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT 1 FROM event_receipts WHERE event_id = :id"), {"id": f"{kill}-0"})
        return found.first() is not None


async def read_all(states: UserStates) -> list[UserState]:
    """Read every shopper's state, which makes it complete online: from now on the worker has to keep it so."""
    return [(await states.state(user_key, FAR_AHEAD_MS))[0] for user_key in SHOPPERS]


async def assert_online_equals_recount(stores: Stores, engine: Engine, complete: set[str]) -> None:
    """Compare each state that is complete online with Postgres; those named must be complete."""
    async with online_states(stores) as online:
        for user_key in SHOPPERS:
            found = await online.read(user_key)
            with engine.connect() as connection:
                counted = in_order(newest_events(connection, user_key, MAX_EVENTS))
            if found is not None:
                assert found.events == counted
            else:
                assert user_key not in complete
