import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from shared.service.http_client import HttpClient, ServiceTimeoutError, ServiceUnreachableError
from shared.service.request_context import enter_request

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(connection: Connection) -> AsyncIterator[str]:
    """Serve raw bytes on a free port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await connection(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def request_of(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length")), 0)
    await reader.readexactly(length)
    return head


OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


async def test_calls_share_one_connection_and_carry_identity_and_deadline() -> None:
    heads: list[str] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            heads.append(await request_of(reader))
            writer.write(OK)

    enter_request([(b"x-request-id", b"shop-1"), (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")])
    async with listening(serve) as url, HttpClient(url) as client:
        assert (await client.send("POST", "/rank", b"{}", 190)).body == b"{}"
        assert (await client.send("GET", "/items/a%2Fb", None, 190)).status == 200
    assert connections == 1
    assert "x-request-id: shop-1" in heads[0]
    assert "x-aisle-deadline-ms: 190" in heads[0]
    assert "content-type: application/json" in heads[0]
    assert f"traceparent: 00-{'a' * 32}-" in heads[0]
    assert "b" * 16 not in heads[0]
    assert heads[1].startswith("get /items/a%2fb http/1.1")


async def test_no_answer_in_time_is_a_timeout() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        await asyncio.sleep(0.3)

    async with listening(serve) as url, HttpClient(url) as client:
        with pytest.raises(ServiceTimeoutError):
            await client.send("GET", "/", None, 30)


async def test_a_refused_and_a_broken_connection_are_unreachable() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)

    async with listening(hang_up) as url, HttpClient(url) as client:
        with pytest.raises(ServiceUnreachableError):
            await client.send("POST", "/", b"{}", 1000)
    async with HttpClient(url) as client:
        with pytest.raises(ServiceUnreachableError):
            await client.send("GET", "/", None, 1000)


async def test_redirects_are_not_followed() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    async with listening(serve) as url, HttpClient(url) as client:
        assert (await client.send("GET", "/", None, 1000)).status == 302
