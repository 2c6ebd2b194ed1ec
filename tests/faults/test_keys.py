"""F20: keys that are missing, wrong, of another scope, too busy or revoked; none of them is ever written down."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.stack import FaultStack
from tests.running_shop import until

RATE = 5
REVOKED_S = 60
WRONG = "aisle-key-of-nobody-8f2a"


def aisle(stack: FaultStack, *arguments: str) -> str:
    """Run `aisle keys` against the stack; return what it prints."""
    command = [sys.executable, "-m", "services.command.main", "keys", *arguments]
    environment = stack.environment("gateway", stack.ports["gateway"])
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ask(stack: FaultStack, key: str | None, path: str = "/popular", body: bytes | None = None) -> tuple[int, Any]:
    """Call the gateway with a key; return status and headers."""
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"X-API-Key": key})
    try:
        with urllib.request.urlopen(urllib.request.Request(stack.urls["gateway"] + path, body, headers)) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, error.headers


@pytest.mark.case("F20")
def test_a_key_opens_what_it_may_as_often_as_it_may_until_it_is_revoked_and_is_written_nowhere(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    key = aisle(stack, "create", "f20", "--scopes", "recommend", "--rate", str(RATE))
    until(lambda: ask(stack, key)[0] in (200, 429))
    time.sleep(2)  # the tokens of the waiting
    assert [ask(stack, wrong)[0] for wrong in (None, "", WRONG, key[:-1], key + "x")] == [401] * 5
    event = b'{"type": "view", "user_id": "x", "item_id": "wine-plain-0"}'
    assert ask(stack, key, "/events", event)[0] == 403
    assert ask(stack, key, "/metrics")[0] == 403

    begun_s, statuses = time.monotonic(), Counter[int]()
    for _ in range(10 * RATE):
        status, headers = ask(stack, key)
        statuses[status] += 1
        assert status == 200 or int(headers["Retry-After"]) >= 1
    seconds = time.monotonic() - begun_s
    assert set(statuses) == {200, 429}
    assert statuses[200] <= RATE * (2 + seconds)
    assert ask(stack, stack.credentials["X-API-Key"])[0] == 200, "another key pays for its own calls only"
    refused = stack.figures().of("http_requests_total", status="429")
    assert refused >= statuses[429]

    aisle(stack, "revoke", "f20")
    begun_s = time.monotonic()
    until(lambda: ask(stack, key)[0] == 401, REVOKED_S)
    revoked_s = time.monotonic() - begun_s
    assert_written_nowhere(stack, key)
    of_all = f"{statuses[429]} of {10 * RATE}"
    held(f"401, 403 and, at ten times the rate, {of_all} 429; revoked after {revoked_s:.1f} s; in no log and no figure")


def assert_written_nowhere(stack: FaultStack, key: str) -> None:
    """Look for keys in every log and every figure."""
    texts = [log.read_text() for log in stack.home.rglob("*.log")]
    texts += [stack.page(name) for name in ("gateway", "feature", "ranking")]
    assert sum(map(len, texts)) > 10_000
    for secret in (key, key[:-1], WRONG, stack.credentials["X-API-Key"]):
        assert not any(secret in text for text in texts)
