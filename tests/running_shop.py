"""A running shop of any make, asked and filled over HTTP: the public API for what has one, the registry for models.

Called by   tests/e2e/running_platform.py (started by `aisle up`), tests/faults/stack.py (every process by itself)
"""

import json
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.storage.relational import model_registry
from shared.storage.relational.engine import make_engine
from shared.storage.relational.model_registry import ModelVersion
from tests.tiny_bundle import publish_tiny
from tests.tiny_shop import tiny_items


@dataclass(frozen=True)
class Answer:
    """Status, JSON body and headers of one call."""

    status: int
    body: Any
    headers: Mapping[str, str]


class RunningShop(ABC):
    """How a shop is reached; who starts it says where everything is."""

    def __init__(self, home: Path, urls: dict[str, str]) -> None:
        self.home = home
        self.urls = urls
        """of the services, by name"""
        self.credentials: dict[str, str] = {}
        """headers of every call"""

    @property
    @abstractmethod
    def database_url(self) -> str:
        """Where the registry is."""

    @property
    def bundles(self) -> Path:
        """Where the models are."""
        return self.home / "bundles"

    def get(self, path: str, service: str = "gateway") -> Answer:
        """Call GET."""
        return self._call(urllib.request.Request(self.urls[service] + path, headers=self._credentials()))

    def post(self, path: str, body: Any, service: str = "gateway") -> Answer:
        """Call POST."""
        headers = {"Content-Type": "application/json", **self._credentials()}
        return self._call(urllib.request.Request(self.urls[service] + path, json.dumps(body).encode(), headers))

    def delete(self, path: str) -> Answer:
        """Call DELETE of the gateway."""
        headers = self._credentials()
        return self._call(urllib.request.Request(self.urls["gateway"] + path, headers=headers, method="DELETE"))

    def _credentials(self) -> dict[str, str]:
        return self.credentials

    def _call(self, request: urllib.request.Request) -> Answer:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return Answer(response.status, json.loads(response.read()), response.headers)
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read()), error.headers)

    def recommend(self, **request: Any) -> Any:
        """Return a list; every answer has to be a 200."""
        answer = self.post("/recommend", {"num_items": 5, **request})
        assert answer.status == 200, answer.body
        return answer.body

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
        version = publish_tiny(self.bundles, seed=seed)
        self.point_at(version)
        return version

    def point_at(self, version: str) -> None:
        """Register a version and let the pointer name it."""
        engine = make_engine(self.database_url, pool_size=1)
        try:
            with engine.begin() as connection:
                serving = model_registry.current(connection)
                if model_registry.get_version(connection, version) is None:
                    entry = ModelVersion(version, f"{self.bundles}/{version}", manifest={}, metrics={}, gate={})
                    model_registry.register(connection, entry)
                assert model_registry.promote(connection, version, serving.version if serving else None)
        finally:
            engine.dispose()

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
