"""A shopper with a million events costs no more than one with a hundred."""

import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
import redis
from fastapi import FastAPI
from sqlalchemy import Engine, text

from shared.contracts.internal import WINDOW_SIZE
from shared.storage.relational.partitions import ensure_months
from tests.integration.ingest_support import Stores
from tests.integration.test_feature_service import app, items, state, stores

__all__ = ["app", "stores"]

MILLION, HUNDRED, DAYS = 1_000_000, 100, 80
ASKED = 15
SLOWER = 2.5
"""times; the windows themselves differ, 512 events against 100"""
INSERT = text("""
INSERT INTO interactions (event_id, type, user_key, item_id, occurred_at, received_at, quantity)
SELECT :user_key || number, 6, :user_key, CAST(number % 5000 AS text),
    :since + number * (:until - :since) / CAST(:events + 1 AS double precision), :until, 1
FROM generate_series(1, :events) AS number
""")


@pytest.fixture
def shoppers(engine: Engine) -> None:
    """Store the past of two shoppers as an import would: no statistics are gathered before the first question."""
    until = datetime.now(UTC)
    since = until - timedelta(days=DAYS)
    with engine.begin() as connection:
        ensure_months(connection, "interactions", {(since + timedelta(days=day)).date() for day in range(DAYS + 1)})
        for user_key, events in (("u:million", MILLION), ("u:hundred", HUNDRED)):
            told = {"user_key": user_key, "events": events, "since": since, "until": until}
            connection.execute(INSERT, told)


async def seconds(app: FastAPI, stores: Stores, user_keys: Sequence[str]) -> list[float]:
    """Return the usual time of each shopper's state, read from Postgres, because no other store knows them.

    They are asked for in turn: what else the machine does meanwhile slows all of them alike.
    """
    times: dict[str, list[float]] = {user_key: [] for user_key in user_keys}
    for _ in range(ASKED):
        for user_key, taken in times.items():
            with redis.from_url(stores.cache_url) as online:
                online.flushdb()
            began_s = time.perf_counter()
            await state(app, user_key)
            taken.append(time.perf_counter() - began_s)
    return [statistics.median(taken) for taken in times.values()]


async def test_a_million_events_cost_no_more_than_a_hundred(shoppers: None, app: FastAPI, stores: Stores) -> None:
    assert len(items(await state(app, "u:million"))) == WINDOW_SIZE
    assert items(await state(app, "u:million"))[-1] == str(MILLION % 5000)
    assert len(items(await state(app, "u:hundred"))) == HUNDRED
    few_s, many_s = await seconds(app, stores, ("u:hundred", "u:million"))
    assert many_s < SLOWER * few_s, f"{1000 * many_s:.1f} ms against {1000 * few_s:.1f} ms"
