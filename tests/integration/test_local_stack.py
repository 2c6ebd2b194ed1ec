"""The command as a user types it, on real stores: up, up again, status, a crash, a taken port, down."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from sqlalchemy import text

from deploy.local.addresses import TOKEN_SETTING, read_addresses
from deploy.local.ports import free_port
from deploy.local.state_file import ChildRecord, StateFile
from shared.service.settings import Settings
from shared.storage.relational.engine import make_engine

STORES = {"postgres", "stream", "cache"}


class Stack:
    """One home, and the command on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AISLE_")},
            "AISLE_HOME": str(home),
            **{f"AISLE_{name}_URL": f"http://127.0.0.1:{free_port()}" for name in ("GATEWAY", "FEATURE", "RANKING")},
            "AISLE_TRAINING_URL": f"http://127.0.0.1:{free_port()}",
            "AISLE_INGEST_PORT": str(free_port()),
            "COLUMNS": "120",
        }

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "deploy.local", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def children(self) -> dict[str, ChildRecord]:
        record = StateFile(self.home).read()
        assert record is not None
        return {child.name: child for child in record.children if child.is_store}

    def until(self, condition: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < give_up_at, self.children()
            time.sleep(0.05)


@pytest.fixture
def stack(store_home: Path, request: pytest.FixtureRequest) -> Iterator[Stack]:
    stack = Stack(store_home / request.node.name / ".aisle")
    yield stack
    stack.command("down")
    shutil.rmtree(stack.home.parent, ignore_errors=True)


def test_stores_start_survive_a_kill_stop_and_start_again_with_what_they_held(stack: Stack) -> None:
    assert stack.command("status").returncode == 1
    started = stack.command("up", "--stores-only")
    assert started.returncode == 0, started.stderr
    assert all(name in started.stdout for name in STORES)
    addresses = read_addresses(stack.home)
    assert (stack.home / "stack.env").stat().st_mode & 0o077 == 0
    with redis.Redis.from_url(addresses["redis_stream_url"]) as client:
        client.set("kept", "1")
    engine = make_engine(addresses["database_url"])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM interactions")).scalar_one() == 0
    engine.dispose()
    before = stack.children()

    os.kill(before["stream"].identity.pid, signal.SIGKILL)
    stack.until(lambda: stack.children()["stream"].restarts == 1 and stack.children()["stream"].state == "ready")
    assert stack.command("up", "--stores-only").returncode == 0
    assert stack.children()["postgres"].identity == before["postgres"].identity
    assert stack.command("status").returncode == 0
    assert stack.command("down").stdout.strip() == "Stopped."
    assert not any(child.identity.is_alive() for child in before.values())
    assert stack.command("down").stdout.strip() == "Nothing was running."

    assert stack.command("up", "--stores-only").returncode == 0
    assert read_addresses(stack.home) == addresses
    with redis.Redis.from_url(addresses["redis_stream_url"]) as client:
        assert client.get("kept") == b"1"


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_is_clean(stack: Stack) -> None:
    assert stack.command("up", "--stores-only").returncode == 0
    record = StateFile(stack.home).read()
    assert record is not None
    stores = [child.identity for child in stack.children().values()]
    assert all(store.is_alive() for store in stores)
    os.kill(record.supervisor.pid, signal.SIGKILL)

    stack.until(lambda: not any(store.is_alive() for store in stores))
    assert stack.command("status").returncode == 1
    assert stack.command("up", "--stores-only").returncode == 0


def test_a_taken_port_stops_the_start_before_anything_runs(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        stack.environment["AISLE_RANKING_URL"] = f"http://127.0.0.1:{port}"
        refused = stack.command("up")

    assert refused.returncode == 1
    assert f"port {port} for ranking is taken" in refused.stderr
    assert "AISLE_RANKING_URL" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert StateFile(stack.home).read() is None


def test_a_store_of_ones_own_is_used_and_not_started(stack: Stack, stream_url: str, cache_url: str) -> None:
    stack.environment |= {"AISLE_REDIS_STREAM_URL": stream_url, "AISLE_REDIS_CACHE_URL": cache_url}

    assert stack.command("up", "--stores-only").returncode == 0
    assert set(stack.children()) == {"postgres"}
    assert set(read_addresses(stack.home)) == {"database_url", "internal_token"}


def test_other_commands_find_the_stores_of_their_home(stack: Stack) -> None:
    assert stack.command("up", "--stores-only").returncode == 0
    load = "import json; from shared.service.settings import Settings; print(Settings.load().model_dump_json())"
    said = subprocess.run(
        [sys.executable, "-c", load], env=stack.environment, capture_output=True, text=True, check=True
    )
    addresses = read_addresses(stack.home)
    assert len(addresses.pop(TOKEN_SETTING)) > 40

    assert {name: json.loads(said.stdout)[name] for name in addresses} == addresses
    assert urlsplit(addresses["redis_cache_url"]).port == stack.children()["cache"].port
    assert Settings(home=stack.home).database_url not in addresses.values()
