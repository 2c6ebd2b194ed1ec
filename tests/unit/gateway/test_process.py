"""The gateway as a process of its own, with nobody around it."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def gateway(home: Path, **settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    url = f"http://127.0.0.1:{free_port()}"
    nobody = f"127.0.0.1:{free_port()}"
    given = {
        "AISLE_HOME": str(home),
        "AISLE_GATEWAY_URL": url,
        "AISLE_FEATURE_URL": f"http://{nobody}",
        "AISLE_RANKING_URL": f"http://{nobody}",
        "AISLE_REDIS_CACHE_URL": f"redis://{nobody}/0",
        "AISLE_REDIS_STREAM_URL": f"redis://{nobody}/0",
    } | settings
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AISLE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.gateway.main"),
        cwd=ROOT,
        env=kept | given,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process, url
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until_alive(client: aiohttp.ClientSession, url: str) -> None:
    for _ in range(200):
        try:
            async with client.get(f"{url}/livez") as answer:
                assert answer.status == 200
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
    raise AssertionError("the gateway did not start")


async def recommend(client: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with client.post(f"{url}/recommend", json={"user_id": 1}) as answer:
        assert answer.status == 200
        document: dict[str, Any] = await answer.json()
        return document


async def test_a_start_with_everything_down_answers_at_once_and_a_signal_ends_it_cleanly(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (process, url), aiohttp.ClientSession() as client:
        await until_alive(client, url)
        started_s = time.monotonic()
        document = await recommend(client, url)
        assert time.monotonic() - started_s < 0.5
        assert (document["recommendations"], document["degraded_reason"]) == ([], "no_catalog")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_request_in_flight_when_the_signal_comes_is_answered(tmp_path: Path) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def slow_ranking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        # Never answers; ends when the gateway hangs up.
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(slow_ranking, "127.0.0.1", 0)
    ranking = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    slow = {"AISLE_RANKING_URL": ranking, "AISLE_RANKING_TIMEOUT_MS": "400", "AISLE_DEADLINE_MS": "600"}
    async with server, gateway(tmp_path, **slow) as (process, url), aiohttp.ClientSession() as client:
        await until_alive(client, url)
        answer = asyncio.create_task(recommend(client, url))
        await asked.wait()
        process.send_signal(signal.SIGTERM)
        assert (await answer)["degraded_reason"] == "no_catalog"
        await left.wait()
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_draining_gateway_is_not_ready_and_still_answers(tmp_path: Path) -> None:
    async with gateway(tmp_path, AISLE_DRAIN_S="0.5") as (process, url), aiohttp.ClientSession() as client:
        await until_alive(client, url)
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        async with client.get(f"{url}/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["detail"] == "stopping"
        await recommend(client, url)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_wrong_setting_and_an_open_address_end_the_start_with_code_2_and_their_name(tmp_path: Path) -> None:
    for name, value in (("AISLE_DEADLINE_MS", "soon"), ("AISLE_HOST", "0.0.0.0")):
        async with gateway(tmp_path, **{name: value}) as (process, _):
            _, said = await asyncio.wait_for(process.communicate(), 20)
            assert process.returncode == 2
            assert name.encode() in said
            assert b"Traceback" not in said


async def test_the_inner_port_of_a_real_gateway_answers_figures_and_the_outer_one_does_not(tmp_path: Path) -> None:
    inner = free_port()
    closed = {"AISLE_ADMIN_PORT": str(inner), "AISLE_REQUIRE_KEYS": "true"}
    async with gateway(tmp_path, **closed) as (process, url), aiohttp.ClientSession() as client:
        await until_alive(client, url)
        asked = [
            f"{url}/metrics",
            f"http://127.0.0.1:{inner}/metrics",
            f"http://127.0.0.1:{inner}/popular",
            f"{url}/popular",
        ]
        statuses = []
        for each in asked:
            async with client.get(each) as answer:
                statuses.append(answer.status)
        assert statuses == [404, 200, 404, 401]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
