"""X4 and X5: the stream server's disk is full, its memory is full; what was accepted is stored all the same."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.local.valkey import STREAM
from shared.storage.redis.clients import sync_client
from tests.faults.database import stored
from tests.faults.stack import FaultStack
from tests.faults.test_bad_networks import send_events
from tests.faults.traffic import Traffic
from tests.running_shop import until

DISK_MB = 32


@pytest.fixture
def small_disk(store_home: Path) -> Iterator[Path]:
    """Return a folder that holds a few megabytes and no more."""
    folder = store_home / "small-disk"
    folder.mkdir()
    options = f"size={DISK_MB}m,mode=0755"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk needs the right to mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.case("X4")
def test_events_go_on_while_the_disk_of_the_stream_is_full_and_none_is_lost(
    small_disk: Path, store_home: Path, held: Callable[[str], None]
) -> None:
    stack = FaultStack(store_home / "full-disk", stream_home=small_disk)
    try:
        stack.start()
        stack.open_shop()
        before, _ = send_events(stack, "x4-a")
        filler = small_disk / "filler"
        fill(filler)
        with Traffic(stack, 8) as traffic:
            during, _ = send_events(stack, "x4-b")
            died = not stack.children["stream"].is_running
            filler.unlink()
            if died:  # with "fsync always" the server ends rather than promise what it cannot keep
                stack.children["stream"].start()
        in_time = traffic.in_time()
        after, _ = send_events(stack, "x4-c")
        until(lambda: stored(stack, "x4-%") == sorted(before + during + after), 20)
        assert stack.figures().of("dependency_calls_total", dependency="feature", outcome="ok") > 0
    finally:
        stack.stop()
        shutil.rmtree(stack.home, ignore_errors=True)
    said = "the server ended and came back" if died else "the server refused"
    held(f"{said}; {len(before + during + after)} accepted before, meanwhile and after, all stored once; {in_time}")


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(os.urandom(4096))


@pytest.mark.case("X5")
def test_events_go_on_while_the_memory_of_the_stream_is_full_and_none_is_lost(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    with sync_client(stack.stream.url) as client, Traffic(stack, 5) as traffic:
        client.config_set("maxmemory", 1)
        try:
            accepted, slowest_ms = send_events(stack, "x5")
            until(lambda: stored(stack, "x5-%") == sorted(accepted), 10)
        finally:
            client.config_set("maxmemory", STREAM["maxmemory"])
    in_time = traffic.in_time()
    again, _ = send_events(stack, "x5-again", 5)
    until(lambda: stored(stack, "x5-again-%") == again, 10)
    held(f"{len(accepted)} accepted and stored without the stream, slowest receipt {slowest_ms:.0f} ms; {in_time}")
