"""The whole platform as real processes: `aisle up` in a home of its own, the tiny shop inside, asked over HTTP.

Called by   tests/e2e/test_*.py
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.addresses import TOKEN_SETTING, read_addresses
from deploy.local.ports import free_port
from deploy.local.state_file import ChildRecord, StateFile
from shared.contracts.access import TOKEN_HEADER
from shared.storage.relational import model_registry
from shared.storage.relational.engine import make_engine
from shared.storage.relational.model_registry import ModelVersion
from tests.tiny_bundle import publish_tiny
from tests.tiny_shop import tiny_items

SERVICES = ("GATEWAY", "FEATURE", "RANKING", "TRAINING")


@dataclass(frozen=True)
class Answer:
    """Status and JSON body of one call."""

    status: int
    body: Any


class Platform:
    """One home and what runs on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.credentials: dict[str, str] = {}
        self.urls = {name.lower(): f"http://127.0.0.1:{free_port()}" for name in SERVICES}
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AISLE_")},
            **{f"AISLE_{name.upper()}_URL": url for name, url in self.urls.items()},
            "AISLE_HOME": str(home),
            "AISLE_INGEST_PORT": str(free_port()),
            # The tests share two cores with everything else that runs; what is tested here is behaviour, not speed.
            "AISLE_DEADLINE_MS": "3000",
            "AISLE_FEATURE_TIMEOUT_MS": "1000",
            "AISLE_RANKING_TIMEOUT_MS": "1500",
            "AISLE_CACHE_TIMEOUT_MS": "500",
            "AISLE_LISTS_REFRESH_S": "2",
            "AISLE_LISTS_POLL_S": "1",
        }

    def aisle(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run an aisle command and return how it ended."""
        command = [sys.executable, "-m", "services.command.main", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=240, check=False)

    def get(self, path: str, service: str = "gateway") -> Answer:
        """Call GET."""
        return self._call(urllib.request.Request(self.urls[service] + path, headers=self._credentials()))

    def post(self, path: str, body: Any, service: str = "gateway") -> Answer:
        """Call POST."""
        headers = {"Content-Type": "application/json", **self._credentials()}
        return self._call(urllib.request.Request(self.urls[service] + path, json.dumps(body).encode(), headers))

    def _credentials(self) -> dict[str, str]:
        """Return what the services of this home ask of each other, and what a test gave; the gateway heeds its own."""
        return {TOKEN_HEADER: read_addresses(self.home).get(TOKEN_SETTING, ""), **self.credentials}

    def _call(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return Answer(response.status, json.loads(response.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read()))

    def recommend(self, **request: Any) -> Any:
        """Return a list; every answer has to be a 200."""
        answer = self.post("/recommend", {"num_items": 5, **request})
        assert answer.status == 200, answer.body
        return answer.body

    def child(self, name: str) -> ChildRecord:
        """Return how one process stands."""
        record = StateFile(self.home).read()
        assert record is not None
        return next(child for child in record.children if child.name == name)

    def kill(self, name: str) -> None:
        """End one process at once; the supervisor will start it again."""
        os.kill(self.child(name).identity.pid, signal.SIGKILL)

    def fill_catalogue(self) -> None:
        """Send the tiny shop's products through the public API."""
        items = [
            {
                "item_id": item.item_id,
                "title": item.title,
                "categories": list(item.categories),
                "brand": item.brand,
                "price": item.price,
                "stock": item.stock,
            }
            for item in tiny_items()
        ]
        assert self.post("/items", {"items": items}).status == 200

    def publish(self, seed: int) -> str:
        """Publish a model of the tiny shop as training does: files, registry row, pointer."""
        store = self.home / "bundles"
        version = publish_tiny(store, seed=seed)
        engine = make_engine(read_addresses(self.home)["database_url"], pool_size=1)
        try:
            with engine.begin() as connection:
                serving = model_registry.current(connection)
                if model_registry.get_version(connection, version) is None:
                    entry = ModelVersion(version, f"{store}/{version}", manifest={}, metrics={}, gate={})
                    model_registry.register(connection, entry)
                assert model_registry.promote(connection, version, serving.version if serving else None)
        finally:
            engine.dispose()
        return version

    def serves(self, version: str) -> bool:
        """Return whether ranking answers with this version."""
        answer = self.get("/model", "ranking")
        return answer.status == 200 and answer.body["version"] == version


def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, "did not come true in time"
        time.sleep(0.05)
