"""Schemathesis on the OpenAPI file of a running platform: what the contract allows and forbids, by the thousand.

`make fuzz` runs it with a time of FUZZ_SECONDS; `make test` leaves it out, since it wants a platform and time.
Checks      no 5xx, only declared statuses, types and shapes, what is wrong is refused, no key is no answer
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running_platform import Platform

SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))
SEED = os.environ.get("FUZZ_SEED", "20260314")
KEY = "key-of-the-fuzzer"

pytestmark = pytest.mark.skipif(SECONDS == 0, reason="needs FUZZ_SECONDS; run by `make fuzz`")


@pytest.fixture(scope="module")
def platform(store_home: Path) -> Iterator[Platform]:
    """Return a platform with the tiny shop and a model, closed to those without a key."""
    platform = Platform(store_home / "fuzz" / ".aisle")
    platform.environment |= {"AISLE_API_KEYS": KEY, "AISLE_RATE_LIMIT_PER_S": "1000000"}
    platform.credentials = {"X-API-Key": KEY}
    platform.open_shop()
    yield platform
    assert platform.aisle("down").returncode == 0
    shutil.rmtree(platform.home.parent, ignore_errors=True)


@pytest.mark.timeout(SECONDS + 240)
def test_no_input_breaks_the_public_contract(platform: Platform, tmp_path: Path) -> None:
    command = [
        Path(sys.executable).with_name("schemathesis"),
        *("--config-file", Path(__file__).with_name("schemathesis.toml")),
        *("run", f"{platform.urls['gateway']}/openapi.json", "--header", f"X-API-Key: {KEY}"),
        *("--max-time", str(SECONDS), "--seed", SEED, "--no-color"),
        *("--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--continue-on-failure"),
        *("--request-timeout", "30"),
    ]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout[-20_000:]
    tested = re.search(r"Tested: (\d+)", finished.stdout)
    generated = re.search(r"(\d+) generated", finished.stdout)
    assert tested
    assert generated
    print(f"\nopenapi held: {tested[1]} operations, {generated[1]} cases, {SECONDS} s, seed {SEED}, 0 failures")
    assert platform.get("/livez").status == 200
