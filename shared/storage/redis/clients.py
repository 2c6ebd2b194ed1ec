"""Connections to a Redis-compatible server, for the event loop and for threads.

Called by   main.py of every service, the ingest worker, the `aisle` command, tests
In          redis://:password@host:port/number, rediss:// or unix://
Out         a client with a pool of its own; whoever made it closes it
Errors      STORE_ERRORS at the first use, not here. Nothing is tried again here: the caller knows what time is left
"""

import asyncio
from collections.abc import Iterable

from redis import Redis
from redis import asyncio as redis_asyncio
from redis.asyncio.connection import AbstractConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

AsyncRedis = redis_asyncio.Redis
SyncRedis = Redis

# All that a call may raise when the server is away, slow, full or starting.
STORE_ERRORS: tuple[type[Exception], ...] = (RedisError, OSError)

CONNECT_TIMEOUT_S = 1.0
# The second version of the protocol, which every server since Redis 6.2 speaks and whose replies all have one shape.
PROTOCOL = 2


def raise_if_cancelled() -> None:
    """End a loop of calls whose task was cancelled; call it after each.

    redis-py sends through asyncio.wait_for, which in Python 3.11 swallows a cancellation that arrives as the sending
    is done (cpython issue 86296): the call returns as if nothing had happened, and a loop would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class _ClosedIsLost(AbstractConnection):
    """Gives the loss of a connection its name, where uvloop has another for it.

    When the server resets a connection between two steps of the loop, uvloop answers the next write with a RuntimeError
    ("the handler is closed") and asyncio with none; redis-py knows only the OSError that follows from neither.
    """

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        """Send, or raise ConnectionError."""
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            raise RedisConnectionError("the connection was closed while it was written to") from error


def async_client(url: str, timeout_s: float = 2.0, max_connections: int = 256) -> AsyncRedis:
    """Return a client for the event loop; a blocking read needs a timeout above its wait."""
    client = redis_asyncio.Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, CONNECT_TIMEOUT_S),
        max_connections=max_connections,
        retry=redis_asyncio.retry.Retry(NoBackoff(), 0),
        protocol=PROTOCOL,
    )
    pool = client.connection_pool
    # Whichever of the three kinds the URL has chosen.
    pool.connection_class = type("Connection", (_ClosedIsLost, pool.connection_class), {})
    return client


def sync_client(url: str, timeout_s: float = 5.0) -> SyncRedis:
    """Return a client for threads and commands; a blocking read needs a timeout above its wait."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, CONNECT_TIMEOUT_S),
        retry=Retry(NoBackoff(), 0),
        protocol=PROTOCOL,
    )
