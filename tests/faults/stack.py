"""A whole shop of real processes with a bad network between any two of them, on command.

Called by   tests/faults/conftest.py; test_*.py
Processes   Postgres, the two Valkey servers, feature, the ingest worker, ranking and the gateway, each a child of its
            own that is killed and started by the test; nothing supervises them
Network     a TcpProxy before each store and before feature and ranking; the gateway is asked without one
Access      as in production: an API key on every call, the internal token between services
Time        DEADLINE_MS and the budgets within it are twice those of production: stores, services, proxies and the
            load generator share two cores
"""

import itertools
import os
import sys
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from deploy.local.child import Launch
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.postgres import THROWAWAY_SETTINGS, PostgresServer, folder_for
from deploy.local.stack import SERVICE_MODULES, SINGLE_THREADED
from deploy.local.supervised import ChildPlan
from deploy.local.valkey import CACHE, STREAM, ValkeyServer
from deploy.migrations import migrate
from shared.contracts.access import TOKEN_HEADER
from shared.storage.relational.databases import ensure_database
from tests.faults.child import Child
from tests.faults.figures import Figures
from tests.faults.tcp_proxy import Network, TcpProxy
from tests.running_shop import RunningShop, until

ROOT = Path(__file__).resolve().parents[2]
KEY = "key-of-the-fault-matrix"
TOKEN = "token-of-the-fault-matrix"
DEADLINE_MS = 600
CACHE_MS, FEATURE_MS, RANKING_MS = 30, 160, 380
STORES = ("postgres", "stream", "cache")
SERVICES = ("feature", "ingest", "ranking", "gateway")
"""in the order of their start"""
_questions = itertools.count()


class FaultStack(RunningShop):
    """One shop that a test may hurt."""

    def __init__(self, home: Path, stream_home: Path | None = None) -> None:
        self.ports = {name: free_port() for name in SERVICES}
        super().__init__(home, {name: _url(port) for name, port in self.ports.items()})
        self.credentials = {"X-API-Key": KEY, TOKEN_HEADER: TOKEN}
        self.network = Network()
        self.postgres = PostgresServer(folder_for(home), free_port(), THROWAWAY_SETTINGS)
        self.stream = ValkeyServer("stream", stream_home or home, free_port(), STREAM)
        self.cache = ValkeyServer("cache", home, free_port(), CACHE)
        self.proxies: dict[str, TcpProxy] = {}
        self.children: dict[str, Child] = {}

    def start(self) -> None:
        """Start everything, the stores first."""
        self.postgres.ensure_cluster()
        stores = {"postgres": self.postgres, "stream": self.stream, "cache": self.cache}
        for name, server in stores.items():
            self.children[name] = Child(ChildPlan(name, server.port, server.prepare, server.is_ready, is_store=True))
            self.children[name].start()
            self.proxies[name] = self.network.proxy(free_port(), server.port)
        migrate(ensure_database(self.postgres.url(), "aisle"))
        for name in ("feature", "ranking"):
            self.proxies[name] = self.network.proxy(free_port(), self.ports[name])
        for name in SERVICES:
            self.children[name] = self.child(name, self.ports[name])
            self.children[name].start()

    def stop(self) -> None:
        """End everything, the gateway first."""
        for child in reversed(self.children.values()):
            child.stop()
        self.network.close()

    def mend(self) -> None:
        """Take every fault away and start what does not run."""
        for proxy in self.proxies.values():
            proxy.clear()
        for child in self.children.values():
            if not child.is_running:
                child.start()

    @property
    def database_url(self) -> str:
        """Postgres itself: a test looks past the network that it made bad."""
        return self.postgres.url("aisle")

    def child(self, name: str, port: int, command: list[str] | None = None, **settings: str) -> Child:
        """Return a process of a service, on a port of its own, not started."""
        environment = self.environment(name, port) | settings
        home = Path(environment["AISLE_HOME"])

        def prepare() -> Launch:
            return Launch(
                command=command or [sys.executable, "-m", SERVICE_MODULES[name]],
                log_path=home / "logs" / f"{name}.log",
                cwd=ROOT,
                env=environment,
                death_signal=ChildPlan.stop_signal,
            )

        return Child(ChildPlan(name, port, prepare, lambda: self.is_ready(name, port)))

    def straight(self, name: str, **settings: str) -> Child:
        """Return a process of a service with no proxy between it and its peers, not started.

        The proxies share an interpreter with whoever asks: a crowd would make the network slow that it asks through.
        """
        peers = {
            "AISLE_FEATURE_URL": self.urls["feature"],
            "AISLE_RANKING_URL": self.urls["ranking"],
            "AISLE_DATABASE_URL": self.database_url,
            "AISLE_REDIS_STREAM_URL": self.stream.url,
            "AISLE_REDIS_CACHE_URL": self.cache.url,
        }
        port = free_port()
        own = {} if name == "ingest" else {f"AISLE_{name.upper()}_URL": _url(port)}
        return self.child(name, port, **peers | own | settings)

    def environment(self, name: str, port: int) -> dict[str, str]:
        """Return what a process of a service is told: where everything is, and which port is its own."""
        addresses = {
            "AISLE_FEATURE_URL": _url(self.proxies["feature"].port),
            "AISLE_RANKING_URL": _url(self.proxies["ranking"].port),
            "AISLE_GATEWAY_URL": self.urls["gateway"],
            "AISLE_INGEST_PORT": str(self.ports["ingest"]),
        }
        own = {"AISLE_INGEST_PORT": str(port)} if name == "ingest" else {f"AISLE_{name.upper()}_URL": _url(port)}
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith("AISLE_")},
            **dict.fromkeys(SINGLE_THREADED, "1"),
            **addresses,
            **own,
            "AISLE_HOME": str(self.home / f"{name}-{port}"),
            "AISLE_BUNDLE_URL": str(self.bundles),
            "AISLE_DATABASE_URL": _with_port(self.postgres.url("aisle"), self.proxies["postgres"].port),
            "AISLE_REDIS_STREAM_URL": _with_port(self.stream.url, self.proxies["stream"].port),
            "AISLE_REDIS_CACHE_URL": _with_port(self.cache.url, self.proxies["cache"].port),
            "AISLE_API_KEYS": KEY,
            "AISLE_INTERNAL_TOKEN": TOKEN,
            "AISLE_RATE_LIMIT_PER_S": "1000000",
            "AISLE_DEADLINE_MS": str(DEADLINE_MS),
            "AISLE_CACHE_TIMEOUT_MS": str(CACHE_MS),
            "AISLE_FEATURE_TIMEOUT_MS": str(FEATURE_MS),
            "AISLE_RANKING_TIMEOUT_MS": str(RANKING_MS),
            "AISLE_LISTS_REFRESH_S": "2",
            "AISLE_LISTS_POLL_S": "1",
            "AISLE_MODEL_POLL_S": "1",
        }

    def is_ready(self, name: str, port: int) -> bool:
        """Return whether a process can answer; the worker has no more to say than that it lives."""
        path = "/livez" if name == "ingest" else "/readyz"
        try:
            with self._opened(_url(port) + path) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def open_shop(self) -> str:
        """Fill the catalogue, publish a model, and wait until lists are personal; return the version."""
        self.fill_catalogue()
        version = self.publish(seed=0)
        until(lambda: self.serves(version))
        self.await_personal()
        until(lambda: len(self.get("/popular").body["recommendations"]) == 10)
        return version

    def await_personal(self, timeout_s: float = 10) -> None:
        """Wait until a list is live and full, of a shopper's state and a model: the promise after every fault."""

        def personal() -> bool:
            # Never asked before: a list kept from before the fault must not pass for one made after it.
            question = {"query": f"is all well? {next(_questions)}"}
            reply = self.recommend(user_id="someone", context=question, num_items=5)
            is_live = reply["served_from"] == "live" and reply["degraded_reason"] in ("none", "cold_start")
            return is_live and len(reply["recommendations"]) == 5

        until(personal, timeout_s)

    def figures(self, name: str = "gateway", port: int | None = None) -> Figures:
        """Return what a process has counted until now."""
        return Figures(self.page(name, port))

    def page(self, name: str, port: int | None = None) -> str:
        """Return what a process tells Prometheus."""
        return self._read(f"{_url(port or self.ports[name])}/metrics")

    def text(self, path: str) -> str:
        """Return an answer of the gateway that is not one JSON document."""
        return self._read(self.urls["gateway"] + path)

    def _read(self, url: str) -> str:
        with self._opened(url) as answer:
            return answer.read().decode()

    def _opened(self, url: str) -> HTTPResponse:
        request = urllib.request.Request(url, headers=self.credentials)
        return cast(HTTPResponse, urllib.request.urlopen(request, timeout=2))


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def _with_port(url: str, port: int) -> str:
    """Return a store's URL as it is behind a proxy."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")))
