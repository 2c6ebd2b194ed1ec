"""What the stack consists of: the stores that are ours to start, and the five processes of Aisle.

Called by   deploy/local/main.py
In          the settings; a store whose URL is given is used as it is and not started
Out         a plan for each child, and the settings as the children see them
Errors      PortTakenError before anything starts
"""

import http.client
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import deploy
from deploy.local.addresses import STORE_SETTINGS, choose_ports, is_embedded
from deploy.local.child import Launch
from deploy.local.ports import LOOPBACK, require_free
from deploy.local.postgres import STOP_TIMEOUT_S as POSTGRES_STOP_TIMEOUT_S
from deploy.local.postgres import PostgresServer, folder_for
from deploy.local.supervised import ChildPlan
from deploy.local.valkey import CACHE, STREAM, ValkeyServer
from shared.service.settings import PREFIX, Settings

DATABASE = "aisle"
PROBE_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 30.0

# In the order of their start; `stop` goes the other way, so that the gateway drains while the others still answer.
SERVICE_MODULES = {
    "feature": "services.feature.main",
    "ingest": "services.feature.ingest",
    "ranking": "services.ranking.main",
    "training": "services.training.main",
    "gateway": "services.gateway.main",
}
PORT_SETTINGS = {
    "feature": "AISLE_FEATURE_URL",
    "ingest": "AISLE_INGEST_PORT",
    "ranking": "AISLE_RANKING_URL",
    "training": "AISLE_TRAINING_URL",
    "gateway": "AISLE_GATEWAY_URL",
}
# A second thread in one process makes its slowest answers many times slower on 2 cores. Training decides for itself.
SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Stack:
    """The children of one supervisor."""

    settings: Settings
    """with the URLs of the embedded stores"""
    stores: list[ChildPlan]
    services: list[ChildPlan]
    urls: dict[str, str]
    """of the embedded stores, by setting"""


def plan_stack(settings: Settings) -> Stack:
    """Choose ports and return what to run; nothing is started."""
    ports = choose_ports(settings.home)
    stores: list[ChildPlan] = []
    urls: dict[str, str] = {}
    if is_embedded(settings, "database_url"):
        postgres = PostgresServer(folder_for(settings.home), ports["database_url"])
        postgres.ensure_cluster()  # which makes the password of the URL
        stores.append(_postgres_plan(postgres))
        urls["database_url"] = postgres.url(DATABASE)
    for name, setting, role in (("stream", "redis_stream_url", STREAM), ("cache", "redis_cache_url", CACHE)):
        if is_embedded(settings, setting):
            server = ValkeyServer(name, settings.home, ports[setting], role)
            stores.append(ChildPlan(name, server.port, server.prepare, server.is_ready, is_store=True))
            urls[setting] = server.url
    settings = settings.model_copy(update=urls)
    return Stack(settings, stores, service_plans(settings), urls)


def service_plans(settings: Settings) -> list[ChildPlan]:
    """Return how to run the services."""
    return [_service_plan(settings, name, service_ports(settings)[name]) for name in SERVICE_MODULES]


def service_ports(settings: Settings) -> dict[str, int]:
    """Return the port of each service."""
    return {
        "feature": settings.port_of("feature"),
        "ingest": settings.ingest_port,
        "ranking": settings.port_of("ranking"),
        "training": settings.port_of("training"),
        "gateway": settings.port_of("gateway"),
    }


def require_free_service_ports(settings: Settings) -> None:
    """Raise PortTakenError if any service could not listen."""
    require_free(service_ports(settings), PORT_SETTINGS, settings.host)


def _postgres_plan(server: PostgresServer) -> ChildPlan:
    return ChildPlan(
        "postgres",
        server.port,
        server.prepare,
        server.is_ready,
        is_store=True,
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients
        stop_timeout_s=POSTGRES_STOP_TIMEOUT_S,
    )


def _service_plan(settings: Settings, name: str, port: int) -> ChildPlan:
    passed_on = environment(settings, single_threaded=name != "training")

    def prepare() -> Launch:
        return Launch(
            command=[sys.executable, "-m", SERVICE_MODULES[name]],
            log_path=settings.home / "logs" / f"{name}.log",
            cwd=Path.cwd(),
            env=passed_on,
            death_signal=signal.SIGTERM,
        )

    return ChildPlan(name, port, prepare, _answers(settings.host, port), stop_timeout_s=STOP_TIMEOUT_S)


def environment(settings: Settings, *, single_threaded: bool = True, with_stores: bool = True) -> dict[str, str]:
    """Return our own environment, so that every given setting reaches a child, and what only we know."""
    root = str(Path(deploy.__file__).resolve().parents[1])
    added = {
        f"{PREFIX}HOME": str(settings.home),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
    }
    if with_stores:
        added |= {f"{PREFIX}{name.upper()}": str(getattr(settings, name)) for name in STORE_SETTINGS}
    if single_threaded:
        added |= dict.fromkeys(SINGLE_THREADED, "1")
    return {**os.environ, **added}


def _answers(host: str, port: int) -> Callable[[], bool]:
    address = LOOPBACK if host in ("0.0.0.0", "localhost") else host

    def answers() -> bool:
        connection = http.client.HTTPConnection(address, port, timeout=PROBE_TIMEOUT_S)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return answers
