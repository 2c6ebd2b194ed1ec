"""Create and drop whole databases on a server.

Called by   deploy/local/main.py (the embedded server's first start), tests/conftest.py (a database for each test)
In          the SQLAlchemy URL of any database of the server, by a user that may create databases
Errors      sqlalchemy.exc.DBAPIError
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool


def ensure_database(server_url: str, name: str) -> str:
    """Create a database unless it exists; return its URL."""
    with _connection(server_url) as connection:
        known = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).first()
        if known is None:
            connection.execute(text(f"CREATE DATABASE {_quoted(connection, name)}"))
    return url_of(server_url, name)


def copy_database(server_url: str, template: str, name: str) -> str:
    """Create a database as a copy of another that nobody is connected to; return its URL."""
    with _connection(server_url) as connection:
        new, old = _quoted(connection, name), _quoted(connection, template)
        connection.execute(text(f"CREATE DATABASE {new} TEMPLATE {old} STRATEGY FILE_COPY"))
    return url_of(server_url, name)


def drop_database(server_url: str, name: str) -> None:
    """Drop a database; whoever is still connected is thrown out."""
    with _connection(server_url) as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {_quoted(connection, name)} WITH (FORCE)"))


def url_of(server_url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)


@contextmanager
def _connection(server_url: str) -> Iterator[Connection]:
    """Connect outside any transaction: CREATE DATABASE cannot run inside one."""
    engine = create_engine(server_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
