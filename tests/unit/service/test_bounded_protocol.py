"""A client that is slow with its request's head, or sends headers without end, holds no connection and no memory."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
import uvicorn

from shared.service import bounded_protocol
from shared.service.app import create_service_app
from shared.service.bounded_protocol import BoundedHttpProtocol
from shared.service.settings import Settings

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
PROBE = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    app = create_service_app("feature", Settings(), ready=lambda: None)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=BoundedHttpProtocol, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    return head.partition(b"\r\n")[0]


async def ended(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(5):
        try:
            return await reader.read() == b""
        except ConnectionError:
            return True


async def sent_until_cut_off(writer: asyncio.StreamWriter, chunks: Iterable[bytes], pause_s: float = 0.0) -> int:
    """Send until the other side hangs up; return how many bytes that took, of all if it never did."""
    sent = 0
    for chunk in chunks:
        try:
            writer.write(chunk)
            await writer.drain()
        except ConnectionError:
            break
        sent += len(chunk)
        await asyncio.sleep(pause_s)
    return sent


async def test_a_connection_that_says_nothing_or_half_a_head_is_closed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_TIMEOUT_S", 0.3)
    for said in (b"", b"GET /livez HTTP/1.1\r\nhost"):
        async with connected() as (reader, writer):
            writer.write(said)
            assert await ended(reader)


async def test_a_head_that_trickles_in_is_given_up_and_one_that_comes_in_pieces_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounded_protocol, "HEAD_TIMEOUT_S", 0.5)
    async with connected() as (reader, writer):
        for place in range(0, len(PROBE), 10):
            writer.write(PROBE[place : place + 10])
            await asyncio.sleep(0.01)
        assert await answer(reader) == b"HTTP/1.1 200 OK"
        # The connection is idle now, not slow.
        await asyncio.sleep(0.6)
        writer.write(PROBE)
        assert await answer(reader) == b"HTTP/1.1 200 OK"
        slow = [PROBE[place : place + 1] for place in range(len(PROBE) - 1)]
        assert await sent_until_cut_off(writer, slow, pause_s=0.05) < len(slow)


@pytest.mark.parametrize("line", [b"x-more: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
async def test_headers_without_end_are_cut_off_long_before_they_fill_the_memory(line: bytes) -> None:
    async with connected() as (_, writer):
        assert await sent_until_cut_off(writer, [b"GET /livez HTTP/1.1\r\nx-first: ", *[line] * 2000]) < 1_500_000


async def test_trailers_without_end_are_cut_off_and_a_chunked_body_in_small_pieces_is_not() -> None:
    head = b"POST /nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    async with connected() as (reader, writer):
        writer.write(head)
        for _ in range(200):
            writer.write(b"3E8\r\n" + b"x" * 1000 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert await answer(reader) == b"HTTP/1.1 404 Not Found"
    async with connected() as (_, writer):
        trailers = [b"x-trailer-%d: " % number + b"a" * 500 + b"\r\n" for number in range(4000)]
        assert await sent_until_cut_off(writer, [head + b"0\r\n", *trailers]) < 1_500_000


async def test_many_requests_at_once_on_one_connection_are_all_answered() -> None:
    async with connected() as (reader, writer):
        writer.write(PROBE * 300)
        for _ in range(300):
            assert await answer(reader) == b"HTTP/1.1 200 OK"
