"""The one way to connect to Postgres: a small pool of psycopg2 connections.

Called by   main.py of feature, ranking and training, the `aisle` command, tests
In          a URL that names its driver: postgresql+psycopg2://user:password@host:port/database
Out         a SQLAlchemy engine; it is synchronous, and async services call it through asyncio.to_thread
Errors      sqlalchemy.exc.OperationalError at the first use, not here;
            `is_storage_down` tells those that a caller may retry
"""

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

# Services name these types from here, since SQLAlchemy itself is at home in this folder only.
__all__ = ["STORAGE_DOWN_ERRORS", "Connection", "Engine", "is_storage_down", "make_engine"]

CONNECT_TIMEOUT_S = 3

# What psycopg2 raises while the server is away, shutting down or starting; a query that is wrong raises something else.
STORAGE_DOWN_ERRORS = (OperationalError, InterfaceError)


def make_engine(url: str, pool_size: int = 4, statement_timeout_ms: int = 0) -> Engine:
    """Return an engine with at most `pool_size` connections; a statement above its timeout is cancelled (0: none)."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        # A connection that died with the server is noticed before it is used: one round trip of 0.1 ms.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "aisle",
            "options": f"-c timezone=UTC -c jit=off -c statement_timeout={statement_timeout_ms}",
        },
    )


def is_storage_down(error: Exception) -> bool:
    """Return whether an error says that Postgres cannot be reached, as opposed to a query it refused."""
    return isinstance(error, STORAGE_DOWN_ERRORS) or (isinstance(error, DBAPIError) and error.connection_invalidated)
