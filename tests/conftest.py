"""Real stores for the tests: Postgres and two Valkey servers, started once, on free ports, in a folder of their own.

Fixtures    database_url, engine     a migrated, empty database for this test alone
            stream_url, cache_url    the two servers, emptied before the test
            unused_port              a function that returns a port nobody listens on
Stopped     at the end of the run; should the run be killed, the kernel stops them (see deploy/local/child.py)
"""

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine

from deploy.local.ports import free_port
from deploy.local.postgres import THROWAWAY_SETTINGS, PostgresServer, folder_for
from deploy.local.valkey import CACHE, STREAM, ValkeyServer
from deploy.migrations import migrate
from shared.storage.relational.databases import copy_database, drop_database, ensure_database
from shared.storage.relational.engine import make_engine

TEMPLATE = "aisle_template"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def store_home() -> Iterator[Path]:
    """Return a folder outside the repository that the unprivileged user of Postgres can reach."""
    home = Path(tempfile.gettempdir()) / f"aisle-test-{os.getpid()}-{uuid4().hex[:8]}"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def postgres_url(store_home: Path) -> Iterator[str]:
    """Return the URL of the migrated template database; tests want `database_url`, a copy of it."""
    folder = folder_for(store_home)
    server = PostgresServer(folder, free_port(), THROWAWAY_SETTINGS)
    server.start()
    template_url = ensure_database(server.url(), TEMPLATE)
    migrate(template_url)
    yield template_url
    server.stop()
    shutil.rmtree(folder.path)  # not always below store_home


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """Return the URL of a migrated, empty database."""
    name = f"test_{next(_numbers)}"
    yield copy_database(postgres_url.removesuffix(TEMPLATE) + "postgres", TEMPLATE, name)
    drop_database(postgres_url.removesuffix(TEMPLATE) + "postgres", name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Return an engine on a migrated, empty database."""
    engine = make_engine(database_url, pool_size=8)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def stream_server(store_home: Path) -> Iterator[ValkeyServer]:
    """Return the server that keeps events; it syncs every write, as in production."""
    server = ValkeyServer("stream", store_home, free_port(), STREAM)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cache_server(store_home: Path) -> Iterator[ValkeyServer]:
    """Return the server for online state and cached lists."""
    server = ValkeyServer("cache", store_home, free_port(), CACHE)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stream_url(stream_server: ValkeyServer) -> str:
    """Return the URL of the emptied stream server."""
    return _emptied(stream_server.url)


@pytest.fixture
def cache_url(cache_server: ValkeyServer) -> str:
    """Return the URL of the emptied cache server."""
    return _emptied(cache_server.url)


def _emptied(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def unused_port() -> Callable[[], int]:
    """Return a function that returns a port nobody listens on."""
    return free_port
