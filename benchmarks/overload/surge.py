"""More than a shop can answer: its capacity, what is left of it under three times as much, and how soon all is well.

Called by   tests/faults/test_overload.py (F16)
Capacity    good answers a second at the knee. While it is looked for and measured the generator sends the surplus, too,
            to a constant endpoint: it shares the machine, and what it costs is the same as in the surge
Goodput     good answers a second when all of it goes to the shop; good: a list, no lesser one, before the deadline
Shedding    how soon the others are answered, as a bystander sees it (bystander.py)
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.environment import ROOT
from benchmarks.overload.bystander import CONNECTIONS, PAUSE_S, Errand, Seen
from benchmarks.serving.__main__ import free_port, wait_for_port
from benchmarks.serving.load import Measured, open_loop

SURGE = 3
STEP_S = 4.0
RATES = (25, 50, 75, 100, 125, 150, 200, 250, 300, 400)
NORMAL_S = 30.0
LOOK_S = 2.0
SHED_MS = 20.0
LEAST_SHARE = 0.8
LEAST_IN_TIME = 0.99
"""of what is shed, within SHED_MS"""
SHED = {"overload", "status_503", "status_429"}

BodyOf = Callable[[int], Any]


@dataclass(frozen=True)
class Target:
    """The shop, as the generator asks it."""

    url: str
    body_of: BodyOf
    headers: Mapping[str, str]
    deadline_ms: float

    async def ask(self, rate: float, seconds: float) -> Measured:
        """Send so many requests a second."""
        return await open_loop(self.url, rate, seconds, self.body_of, self.headers)

    def good(self, seen: Measured) -> int:
        """Return how many answers were lists, no lesser ones, in time."""
        return sum(latency_ms <= self.deadline_ms for latency_ms in seen.good_ms)


@dataclass(frozen=True)
class Surge:
    """What a shop did with more than it can do."""

    knee: float
    """the highest rate, in requests a second, at which nearly every answer was good"""
    capacity_per_s: float
    goodput_per_s: float
    answers: dict[str, int]
    shed: int
    """answers to the bystander that said: too much, with a list from memory or the time to come again"""
    shed_in_time: int
    """of these, within SHED_MS"""
    shed_p50_ms: float | None
    shed_p99_ms: float | None
    normal_after_s: float

    @property
    def share(self) -> float:
        """Return how much of the capacity was left."""
        return self.goodput_per_s / self.capacity_per_s

    @property
    def shed_share(self) -> float:
        """Return how much of what was shed came in time."""
        return self.shed_in_time / self.shed if self.shed else 1.0


async def find_knee(target: Target, elsewhere: str) -> float:
    """Raise the rate until an answer in a hundred is not good; return the last good rate."""
    await target.ask(RATES[0], STEP_S)  # shoppers get known and connections opened
    knee = 0.0
    for rate in RATES:
        seen = await ask_beside(target, rate, STEP_S, elsewhere)
        if target.good(seen) < 0.99 * rate * STEP_S:
            break
        knee = float(rate)
    assert knee, f"{RATES[0]} requests a second are too many already"
    return knee


async def ask_beside(target: Target, rate: float, seconds: float, elsewhere: str) -> Measured:
    """Ask the shop at a rate, and elsewhere for what the surge sends beyond it."""
    surplus = open_loop(elsewhere, (SURGE - 1) * rate, seconds, target.body_of)
    seen, _ = await asyncio.gather(target.ask(rate, seconds), surplus)
    return seen


async def surge(target: Target, seconds: float) -> Surge:
    """Find the knee, measure the capacity there, and then send three times as much."""
    with constant_endpoint() as elsewhere:
        knee = await find_knee(target, elsewhere)
        alone = await ask_beside(target, knee, seconds, elsewhere)
    flooded, seen = await asyncio.gather(target.ask(SURGE * knee, seconds), ask_as_bystander(target, seconds))
    normal_after_s = await seconds_until_normal(target, knee / 2)
    # The last answers of a flood come after its end: they belong to the seconds in which they were asked for.
    shed_ms = [took_ms for kind, took_ms in seen if kind in SHED]
    return Surge(
        knee=knee,
        capacity_per_s=round(target.good(alone) / seconds, 1),
        goodput_per_s=round(target.good(flooded) / seconds, 1),
        answers=dict(flooded.errors + flooded.degraded) | {"good": len(flooded.good_ms)},
        shed=len(shed_ms),
        shed_in_time=sum(took_ms <= SHED_MS for took_ms in shed_ms),
        shed_p50_ms=round(float(np.percentile(shed_ms, 50)), 1) if shed_ms else None,
        shed_p99_ms=round(float(np.percentile(shed_ms, 99)), 1) if shed_ms else None,
        normal_after_s=normal_after_s,
    )


async def ask_as_bystander(target: Target, seconds: float) -> list[Seen]:
    """Ask from a process of its own, beside whatever else is asked; return what it saw."""
    bodies = [target.body_of(number) for number in range(round(seconds / PAUSE_S * CONNECTIONS))]
    every = {"Content-Type": "application/json", **target.headers}
    command = [sys.executable, "-m", "benchmarks.overload.bystander"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    out, _ = await process.communicate(json.dumps(asdict(Errand(target.url, every, bodies))).encode())
    assert process.returncode == 0, f"the bystander ended with {process.returncode}"
    return [(str(kind), float(took_ms)) for kind, took_ms in json.loads(out)]


async def seconds_until_normal(target: Target, rate: float) -> float:
    """Ask at half the knee until nearly every answer is good again; return how long that took, at most NORMAL_S."""
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < NORMAL_S:
        asked_s = time.monotonic()
        seen = await target.ask(rate, LOOK_S)
        if target.good(seen) >= 0.99 * rate * LOOK_S:
            return round(asked_s - begun_s, 1)
    return NORMAL_S


@contextmanager
def constant_endpoint() -> Iterator[str]:
    """Run the endpoint that costs nothing; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.overload.constant", str(port)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}/recommend"
    finally:
        process.terminate()
        process.wait(timeout=10)
