"""make bench-serving: the running platform under open-loop load, beside the floor of its own stack.

In          a platform started by `make demo` or `aisle up`, with a trained model
Out         benchmarks/results/serving.json and a table; exit code 1 when a personal run was degraded beyond 0.1 %
Personal    every request carries coordinates never sent before, so no list can come from a cache
Cached      the same few requests over and over, computed once before the clock starts
Warm        the shoppers' online state is read into Redis before the clock starts, as in a shop that has been running
First       shoppers whose state is in Redis, asked for once each: no process holds anything of them in memory yet
Cold        none of it is there, as after the loss of the cache server: every answer rebuilds a state from Postgres
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.environment import ROOT, environment
from benchmarks.serving.load import Measured, open_loop
from benchmarks.serving.waterfall import Waterfall, between, look, platform_processes
from shared.contracts.access import TOKEN_HEADER
from shared.service.settings import Settings
from shared.storage.redis.clients import async_client
from shared.storage.redis.user_state import OnlineStateReader

RESULT = ROOT / "benchmarks" / "results" / "serving.json"
RATE = 50
NUM_USERS = 1000
WARM_UP_MS = 5000
CAPACITY_RATES = (75, 100, 125, 150, 200, 250, 300, 400, 600, 800, 1000)
CAPACITY_STEP_S = 5
GOOD_P99_MS = 250.0
MAX_DEGRADED_SHARE = 0.001
COLUMNS = ("case", "rate", "achieved", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "errors", "degraded")

console = Console(width=150)


def personal_body(users: list[str], seed: int) -> Callable[[int], dict[str, Any]]:
    """Return a maker of requests of mixed users, each from a place on Earth that no other request names."""
    draw = random.Random(seed)
    return lambda number: request_of(draw.choice(users), draw)


def request_of(user: str, draw: random.Random) -> dict[str, Any]:
    """Return a request of one user from a place drawn at random."""
    place = {"latitude": round(draw.uniform(-60, 60), 6), "longitude": round(draw.uniform(-180, 180), 6)}
    return {"user_id": user, "num_items": 10, "context": {"page": "home", **place}, "dry_run": False}


def warm_up(settings: Settings, users: list[str]) -> None:
    """Wait until every service is ready, then let feature bring each shopper's state online."""
    for url in (settings.feature_url, settings.ranking_url, settings.gateway_url):
        wait_for(f"{url}/readyz", timeout_s=60)
    # Nobody waits here: the first read of a fresh start, which opens connections, may take longer than an answer may.
    headers = {"Content-Type": "application/json", "X-Aisle-Deadline-Ms": str(WARM_UP_MS)}
    if tokens := settings.internal_tokens():
        headers[TOKEN_HEADER] = tokens[0]
    for user in users:
        body = json.dumps({"user_key": f"u:{user}", "as_of_ms": int(time.time() * 1000)}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{settings.feature_url}/state", body, headers)) as reply:
            reply.read()


def take_apart(settings: Settings, users: list[str], duration_s: float) -> Waterfall:
    """Return where the time of personal answers goes, of a run of its own beside the one that is reported."""
    before = look(settings)
    personal = personal_body(users, seed=5)
    client = asyncio.run(open_loop(f"{settings.gateway_url}/recommend", RATE, duration_s, personal))
    return between(before, look(settings), client.row("")["mean_ms"])


async def measure_once(settings: Settings, users: list[str], name: str) -> dict[str, Any]:
    """Ask once for each shopper at RATE; return the row."""
    draw = random.Random(4)
    url = f"{settings.gateway_url}/recommend"
    once = await open_loop(url, RATE, len(users) / RATE, lambda number: request_of(users[number], draw))
    return once.row(f"aisle: {name}")


async def measure_cold(settings: Settings, users: list[str]) -> dict[str, Any]:
    """Forget every shopper's online state, then ask once for each at RATE; return the row."""
    async with async_client(settings.redis_cache_url) as cache:
        await OnlineStateReader(cache, settings.namespace).forget(f"u:{user}" for user in users)
    return await measure_once(settings, users, "cold")


def cached_body(users: list[str]) -> Callable[[int], dict[str, Any]]:
    """Return a maker of requests that repeat for a few users."""
    return lambda number: {"user_id": users[number % min(50, len(users))], "num_items": 10, "context": {"page": "home"}}


async def capacity(url: str, body_of: Callable[[int], Any]) -> Measured:
    """Raise the rate until an answer in a hundred takes longer than GOOD_P99_MS; return the last good step."""
    best = await open_loop(url, RATE, CAPACITY_STEP_S, body_of)
    for rate in CAPACITY_RATES:
        step = await open_loop(url, rate, CAPACITY_STEP_S, body_of)
        row = step.row("")
        good = not step.errors and not step.degraded and row["p99_ms"] <= GOOD_P99_MS
        if not good or row["achieved"] < 0.95 * rate:
            return best
        best = step
    return best


async def measure(url: str, users: list[str], duration_s: float, name: str) -> list[dict[str, Any]]:
    """Return the rows of one target: personal at RATE, cached at RATE, and its capacity."""
    await open_loop(url, RATE, 3, personal_body(users, seed=1))
    personal = await open_loop(url, RATE, duration_s, personal_body(users, seed=2))
    await open_loop(url, RATE, 2, cached_body(users))
    cached = await open_loop(url, RATE, duration_s, cached_body(users))
    knee = await capacity(url, personal_body(users, seed=3))
    return [personal.row(f"{name}: personal"), cached.row(f"{name}: cached"), knee.row(f"{name}: capacity")]


@contextmanager
def floor(redis_url: str) -> Any:
    """Run the floor's three processes and yield the gateway's URL."""
    ports = {role: free_port() for role in ("feature", "ranking", "gateway")}
    urls = {role: f"http://127.0.0.1:{port}" for role, port in ports.items()}
    shared = {"FLOOR_FEATURE": urls["feature"], "FLOOR_RANKING": urls["ranking"], "FLOOR_REDIS": redis_url}
    processes = []
    try:
        for role, port in ports.items():
            environ = {**os.environ, **shared, "FLOOR_ROLE": role, "FLOOR_PORT": str(port)}
            command = [sys.executable, "-m", "benchmarks.serving.floor"]
            processes.append(subprocess.Popen(command, env=environ, cwd=ROOT))
        for url in urls.values():
            wait_for(f"{url}/openapi.json")
        yield urls["gateway"]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=10)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, timeout_s: float = 20) -> None:
    """Wait until a URL answers 200; TimeoutError names it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                if response.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer within {timeout_s} s")


def wait_for_port(port: int, timeout_s: float = 10) -> None:
    """Wait until somebody listens on a port of 127.0.0.1; TimeoutError names it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listened on port {port} within {timeout_s} s")


def stack_memory_mb(home: Path) -> dict[str, float]:
    """Return the proportional memory (PSS) of the supervisor and every process under it, in MB, by name."""
    memory: dict[str, float] = {}
    for process, name in platform_processes(home).items():
        memory[name] = round(memory.get(name, 0) + process.memory_full_info().pss / 1e6, 1)
    memory["total"] = round(sum(memory.values()), 1)
    return memory


def known_users(folder: Path) -> list[str]:
    """Return the shoppers that the demo imported."""
    path = folder / "demo" / "users.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing: run `make demo` first")
    return [str(user) for user in json.loads(path.read_text())]


def ratio(product: list[dict[str, Any]], base: list[dict[str, Any]]) -> dict[str, float]:
    """Return product over floor: p50 of personal answers, and the rate each can carry."""
    return {
        "p50": round(product[0]["p50_ms"] / base[0]["p50_ms"], 2),
        "throughput": round(product[2]["achieved"] / base[2]["achieved"], 3),
    }


def show(rows: list[dict[str, Any]], relative: dict[str, float], memory: dict[str, float]) -> None:
    """Print what was measured."""
    table = Table(title="Serving, open loop, everything on this machine")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "case" else "right")
    for row in rows:
        table.add_row(*(str(row[column]) for column in COLUMNS))
    console.print(table)
    console.print(f"product / floor: p50 × {relative['p50']}, throughput × {relative['throughput']}")
    console.print(f"memory of the whole stack: {memory['total']:.0f} MB (proportional set size)")


def show_waterfall(waterfall: Waterfall) -> None:
    """Print the stages of a personal answer, each under the one it is part of, and the processor time."""
    for title, values in (("Wall time", waterfall.stage_ms), ("Processor time", waterfall.cpu_ms)):
        table = Table("of a personal answer", "mean ms", title=title)
        for name, ms in values.items():
            *outer, own = name.split(" / ")
            table.add_row("  " * len(outer) + own, f"{ms:.2f}")
        console.print(table)


def main() -> None:
    """Measure, write the result file, and fail when the personal run was degraded."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--duration", type=float, default=30.0, help="seconds for each case")
    options = arguments.parse_args()
    settings = Settings.load()
    everyone = random.Random(0).sample(known_users(settings.home), 2 * NUM_USERS)
    users, others = everyone[:NUM_USERS], everyone[NUM_USERS:]
    # The others first: what feature holds in memory is then of the users alone.
    warm_up(settings, others + users)
    product = asyncio.run(measure(f"{settings.gateway_url}/recommend", users, options.duration, "aisle"))
    waterfall = take_apart(settings, users, options.duration)
    product.append(asyncio.run(measure_once(settings, others, "first request")))
    product.append(asyncio.run(measure_cold(settings, users)))
    memory = stack_memory_mb(settings.home)
    with floor(settings.redis_cache_url) as url:
        base = asyncio.run(measure(f"{url}/recommend", users, options.duration, "floor"))
    relative = ratio(product, base)
    figures = {"ratio": relative, "memory_mb": memory, "waterfall": asdict(waterfall)}
    result = {"rows": product, "floor": base, **figures, "environment": environment()}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    show([*product, *base], relative, memory)
    show_waterfall(waterfall)
    bad = sum(product[0]["degraded"].values()) + sum(product[0]["errors"].values())
    if bad > MAX_DEGRADED_SHARE * product[0]["requests"]:
        console.print(f"[red]failed: {bad} of {product[0]['requests']} personal answers were degraded or errors[/red]")
        sys.exit(1)


if __name__ == "__main__":
    main()
