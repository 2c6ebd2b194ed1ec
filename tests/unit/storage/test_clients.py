"""What a connection to a store does when the other side ends it at the worst moment."""

import asyncio

import pytest
import uvloop

from shared.storage.redis.clients import STORE_ERRORS, async_client


async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say yes to whatever is asked, as a server that is about to die."""
    try:
        while await reader.read(4096):
            writer.write(b"+OK\r\n")
    except OSError:
        pass
    finally:
        writer.close()


def test_a_connection_that_uvloop_finds_closed_is_a_store_that_is_away() -> None:
    async def ask_a_closed_one() -> None:
        server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, async_client(f"redis://127.0.0.1:{port}/0") as client:
            connection = await client.connection_pool.get_connection()
            connection._writer.transport.abort()
            await asyncio.sleep(0)
            with pytest.raises(STORE_ERRORS):
                await connection.send_command("PING")
            await client.connection_pool.release(connection)

    uvloop.run(ask_a_closed_one())
