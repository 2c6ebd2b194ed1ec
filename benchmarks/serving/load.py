"""Open-loop load: requests leave at a constant rate whatever the server does.

Called by   benchmarks/serving/__main__.py, tests that need traffic
In          a URL on loopback, a rate in requests/s, a duration in s, a function that makes the n-th request body
Out         Measured: latency of each answer, counted from the moment the request should have been sent
Why         a closed loop waits together with a stalled server and so omits exactly the bad answers (coordinated
            omission, G. Tene, "How not to measure latency")
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
import orjson

NOT_DEGRADED = {"none", "cold_start"}
REQUEST_TIMEOUT_S = 5.0
SHED = {429, 503}

Heard = Callable[[dict[str, Any]], None]
"""Hears an answer's JSON, in the loop that sends: it has to be quick."""


@dataclass
class Measured:
    """What one run saw. `latency_ms` holds successful answers only; errors are counted by kind."""

    asked_rate: float
    duration_s: float = 0.0
    latency_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    degraded: Counter[str] = field(default_factory=Counter)
    served_from: Counter[str] = field(default_factory=Counter)
    good_ms: list[float] = field(default_factory=list)
    """of the answers that were lists, and no lesser ones"""
    shed_ms: list[float] = field(default_factory=list)
    """of the answers that said: too much, with a list from memory or the time to come again"""

    def row(self, case: str) -> dict[str, Any]:
        """Return the line of the result table."""
        latency_ms = np.array(self.latency_ms or [float("nan")])
        percentile = {f"p{q}_ms": round(float(np.percentile(latency_ms, q)), 2) for q in (50, 95, 99)}
        return {
            "case": case,
            "rate": self.asked_rate,
            "achieved": round(len(self.latency_ms) / self.duration_s, 1),
            "requests": len(self.latency_ms) + sum(self.errors.values()),
            "mean_ms": round(float(latency_ms.mean()), 2),
            **percentile,
            "max_ms": round(float(latency_ms.max()), 2),
            "errors": dict(self.errors),
            "degraded": dict(self.degraded),
            "served_from": dict(self.served_from),
        }


async def open_loop(
    url: str,
    rate: float,
    duration_s: float,
    body_of: Callable[[int], Any],
    headers: Mapping[str, str] | None = None,
    heard: Heard | None = None,
) -> Measured:
    """Send `rate` requests a second for `duration_s` and wait for every answer; `heard` hears of each good one."""
    measured = Measured(asked_rate=rate)
    bodies = [orjson.dumps(body_of(number)) for number in range(round(rate * duration_s))]
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    every = {"Content-Type": "application/json", **(headers or {})}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=every) as session:
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            started = time.perf_counter() + 0.05
            pending: set[asyncio.Task[None]] = set()

            def send(number: int) -> None:
                due = started + number / rate
                pending.add(asyncio.create_task(_send(session, url, bodies[number], due, measured, heard)))

            await asyncio.to_thread(_pace, started, rate, len(bodies), send, asyncio.get_running_loop())
            await asyncio.gather(*pending)
            measured.duration_s = time.perf_counter() - started
        finally:
            gc.enable()
            gc.unfreeze()
    return measured


def _pace(
    started: float, rate: float, count: int, send: Callable[[int], None], loop: asyncio.AbstractEventLoop
) -> None:
    """Have each request sent at its moment; a loop's own timers are whole milliseconds: they would count as latency."""
    for number in range(count):
        time.sleep(max(0.0, started + number / rate - time.perf_counter()))
        loop.call_soon_threadsafe(send, number)


async def _send(
    session: aiohttp.ClientSession, url: str, body: bytes, due: float, measured: Measured, heard: Heard | None
) -> None:
    try:
        async with session.post(url, data=body) as response:
            raw = await response.read()
            latency_ms = (time.perf_counter() - due) * 1000
    except TimeoutError:
        measured.errors["timeout"] += 1
        return
    except aiohttp.ClientError as error:
        measured.errors[type(error).__name__] += 1
        return
    if response.status != 200:
        measured.errors[f"status_{response.status}"] += 1
        if response.status in SHED and "retry-after" in response.headers:
            measured.shed_ms.append(latency_ms)
        return
    measured.latency_ms.append(latency_ms)
    answer = orjson.loads(raw)
    measured.served_from[answer["served_from"]] += 1
    if answer["degraded_reason"] in NOT_DEGRADED:
        measured.good_ms.append(latency_ms)
    else:
        measured.degraded[answer["degraded_reason"]] += 1
        if answer["degraded_reason"] == "overload":
            measured.shed_ms.append(latency_ms)
    if heard is not None:
        heard(answer)
