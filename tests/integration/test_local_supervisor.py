"""The supervisor with small children: restarts, waits, order of the stop, and nothing left after its own death.

The children are processes that answer GET and write their name to a file when they are asked to end.
"""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.child import start_mark
from deploy.local.ports import free_port
from deploy.local.state_file import ChildRecord, StackRecord, StateFile

CHILD = """
import http.server, pathlib, signal, sys, time
name, port, log = sys.argv[1:4]
if name.endswith("broken"):
    sys.exit("does not want to")
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
def end(*_):
    with open(log, "a") as file:
        print(name, file=file)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
http.server.HTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()
"""

SUPERVISOR = """
import json, os, pathlib, signal, sys
from deploy.local import stack, supervised
from deploy.local.child import Launch
from deploy.local.state_file import StateFile
from deploy.local.supervised import ChildPlan
from deploy.local.supervisor import Supervisor

home, wanted = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])
supervised.FIRST_WAIT_S, supervised.CHECK_EVERY_S, stack.PROBE_TIMEOUT_S = 0.2, 0.2, 0.3

def plan(name, port):
    launch = Launch([sys.executable, "-c", os.environ["CHILD"], name, str(port), str(home / "order")],
        home / "logs" / f"{name}.log", home, dict(os.environ), signal.SIGTERM)
    return ChildPlan(name, port, lambda: launch, stack._answers("127.0.0.1", port), stop_timeout_s=5)

plans = {name: plan(name, port) for name, port in wanted.items()}
stores = [found for name, found in plans.items() if name.startswith("store")]
services = [found for name, found in plans.items() if not name.startswith("store")]
state_file = StateFile(home)
with state_file.held():
    Supervisor(stores, services, (home / "migrated").touch, state_file).run()
"""


class Running:
    """A supervisor under test."""

    def __init__(self, home: Path, *names: str) -> None:
        self.home = home
        self.ports = {name: free_port() for name in names}
        wanted = "{" + ", ".join(f'"{name}": {port}' for name, port in self.ports.items()) + "}"
        command = [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(home), wanted]
        self.log_path = home / f"supervisor-{len(list(home.iterdir()))}.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, "CHILD": CHILD}, stdout=log, stderr=subprocess.STDOUT
            )

    def output(self) -> str:
        return self.log_path.read_text()

    def record(self) -> StackRecord | None:
        return StateFile(self.home).read()

    def child(self, name: str) -> ChildRecord:
        record = self.record()
        assert record is not None
        return next(child for child in record.children if child.name == name)

    def states(self) -> dict[str, str]:
        record = self.record()
        return {} if record is None else {child.name: child.state for child in record.children}

    def until(self, condition: Callable[[], bool], timeout_s: float = 20) -> None:
        give_up_at = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < give_up_at, (self.record(), self.output())
            time.sleep(0.02)

    def until_ready(self, *names: str) -> None:
        self.until(lambda: all(self.states().get(name) == "ready" for name in names or self.ports))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        record = self.record()
        for child in record.children if record is not None else ():
            if record is not None and record.supervisor.pid == self.process.pid and child.identity.is_alive():
                os.kill(child.identity.pid, signal.SIGKILL)


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    with contextlib.ExitStack() as closing:

        def start(*names: str) -> Running:
            running = Running(tmp_path, *names)
            closing.callback(running.close)
            return running

        yield start


def test_everything_starts_after_the_migrations_and_stops_in_reverse_order(supervise: Callable[..., Running]) -> None:
    running = supervise("store", "feature", "gateway")
    running.until_ready()
    record = running.record()
    assert record is not None
    assert record.tables_ready
    assert (running.home / "migrated").exists()
    running.process.terminate()

    assert running.process.wait(20) == 0
    assert (running.home / "order").read_text().split() == ["gateway", "feature", "store"]
    assert set(running.states().values()) == {"stopped"}


@pytest.mark.parametrize("name", ["store", "gateway"])
def test_a_killed_child_is_started_again_and_the_others_stay(supervise: Callable[..., Running], name: str) -> None:
    running = supervise("store", "gateway")
    running.until_ready()
    before = {child: running.child(child).identity for child in running.ports}
    os.kill(before[name].pid, signal.SIGKILL)
    running.until(lambda: running.child(name).restarts == 1 and running.states()[name] == "ready")

    assert running.child(name).identity != before[name]
    (other,) = set(running.ports) - {name}
    assert running.child(other).identity == before[other]


def test_a_child_that_does_not_start_is_tried_with_growing_waits_beside_the_others(
    supervise: Callable[..., Running],
) -> None:
    running = supervise("store", "broken", "gateway")
    running.until_ready("store", "gateway")
    running.until(lambda: running.child("broken").failed_starts >= 3)
    seen_at, restarts = time.monotonic(), running.child("broken").restarts
    running.until(lambda: running.child("broken").restarts > restarts)

    assert time.monotonic() - seen_at > 0.5  # 0.2, 0.4, then 0.8 s
    assert "does not want to" in Path(running.child("broken").log_path).read_text()
    assert running.states()["gateway"] == "ready"


def test_a_store_that_never_starts_ends_the_supervisor_with_its_log(supervise: Callable[..., Running]) -> None:
    running = supervise("store", "store-broken", "gateway")

    assert running.process.wait(20) == 1
    assert "store-broken does not start" in running.output()
    assert "does not want to" in running.output()
    assert running.states() == {"store": "stopped", "store-broken": "stopped", "gateway": "stopped"}
    assert not (running.home / "migrated").exists()


def test_a_mute_child_is_killed_and_started_again(supervise: Callable[..., Running]) -> None:
    running = supervise("store", "gateway")
    running.until_ready()
    before = running.child("gateway").identity
    os.kill(before.pid, signal.SIGSTOP)
    running.until(lambda: running.child("gateway").restarts == 1 and running.states()["gateway"] == "ready", 40)

    assert not before.is_alive()


def test_no_child_outlives_a_killed_supervisor(supervise: Callable[..., Running]) -> None:
    running = supervise("store", "feature", "gateway")
    running.until_ready()
    children = [running.child(name).identity for name in running.ports]
    assert all(child.is_alive() for child in children)
    running.process.kill()
    running.process.wait()

    running.until(lambda: not any(child.is_alive() for child in children), 10)


def test_only_one_supervisor_holds_a_home(supervise: Callable[..., Running]) -> None:
    first = supervise("store")
    first.until_ready()
    second = supervise("store")

    assert second.process.wait(20) == 1
    assert "AlreadyRunningError" in second.output()
    assert first.process.poll() is None
    assert start_mark(first.process.pid)
