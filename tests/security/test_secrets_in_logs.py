"""What real processes write while they are used well, used wrongly and left without their stores holds no secret."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from deploy.local.addresses import TOKEN_SETTING, read_addresses
from tests.e2e.running_platform import Platform
from tests.running_shop import until

GIVEN_KEY = "given-key-d41d8cd98f00b204"
WRONG_KEY = "wrong-key-98f00b204e980099"
SERVICES = ("feature", "gateway")


@pytest.fixture(scope="module")
def platform(store_home: Path) -> Iterator[Platform]:
    """Return a home whose stores run."""
    platform = Platform(store_home / "secrets" / ".aisle")
    platform.environment |= {"AISLE_LOG_LEVEL": "DEBUG", "AISLE_API_KEYS": GIVEN_KEY}
    started = platform.aisle("up", "--stores-only")
    assert started.returncode == 0, started.stdout + started.stderr
    yield platform
    platform.aisle("down")
    shutil.rmtree(platform.home.parent, ignore_errors=True)


@contextmanager
def running(platform: Platform, service: str) -> Iterator[None]:
    """Run one service; what it says goes into the folder of logs."""
    with (platform.home / "logs" / f"{service}.log").open("wb") as log:
        command = [sys.executable, "-m", f"services.{service}.main"]
        process = subprocess.Popen(command, env=platform.environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            until(lambda: answers(platform, service))
            yield
        finally:
            process.terminate()
            process.wait(20)


def answers(platform: Platform, service: str) -> bool:
    try:
        return platform.get("/readyz", service).status == 200
    except OSError:
        return False


def ask(platform: Platform, path: str, key: str, body: object = None) -> int:
    """Call the gateway with a key; return the status."""
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    text = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(platform.urls["gateway"] + path, text, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def test_secrets_never_reach_a_log(platform: Platform) -> None:
    made = platform.aisle("keys", "create", "shop", "--scopes", "recommend")
    assert made.returncode == 0, made.stderr
    made_key = made.stdout.strip()
    with ExitStack() as stack:
        for service in SERVICES:
            stack.enter_context(running(platform, service))
        until(lambda: ask(platform, "/popular", made_key) == 200)
        assert ask(platform, "/recommend", made_key, {"user_id": 1}) == 200
        assert ask(platform, "/events", made_key, {"type": "view"}) == 403
        assert ask(platform, "/popular", WRONG_KEY) == 401
        assert ask(platform, f"/nothing?api_key={made_key}", made_key) == 403
        assert ask(platform, f"/recommend?key={made_key}", made_key, {"user_id": made_key, "api_key": made_key}) == 422
        assert ask(platform, "/users/1", GIVEN_KEY) == 404
        rotated = platform.aisle("keys", "rotate", "shop").stdout.strip()
        until(lambda: ask(platform, "/popular", rotated) == 200)
        platform.aisle("down")
        # Now every store is away, and the processes say so.
        assert ask(platform, "/recommend", rotated, {"user_id": 2}) == 200
        assert ask(platform, "/events", GIVEN_KEY, {"type": "view", "user_id": 1, "item_id": 1}) == 503
        assert ask(platform, "/users/1", GIVEN_KEY) == 503
        until(lambda: "keys_unavailable" in logs(platform))
    said = logs(platform)
    assert "event_stream_unavailable" in said
    for secret in (made_key, rotated, GIVEN_KEY, WRONG_KEY, *own_secrets(platform)):
        assert len(secret) > 12
        assert secret not in said


def logs(platform: Platform) -> str:
    """Return what all processes have said."""
    return b"".join(path.read_bytes() for path in (platform.home / "logs").iterdir()).decode()


def own_secrets(platform: Platform) -> list[str]:
    """Return the token of the services and the passwords in the addresses of the stores."""
    addresses = read_addresses(platform.home)
    passwords = [found for value in addresses.values() for found in re.findall(r"://[^:@/]*:([^@/]+)@", value)]
    assert len(passwords) == 3
    assert os.environ.get("AISLE_API_KEYS") is None
    return [addresses[TOKEN_SETTING], *passwords]
