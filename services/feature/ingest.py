"""The ingest worker: a process of its own that brings accepted events and impressions to Postgres and online state.

Called by   python -m services.feature.ingest
Start       needs no store: it waits for them, as it does whenever one goes away; the tables must have been migrated
Threads     one for each stream: a flood of impressions does not delay an event
Stop        SIGTERM or SIGINT → the batch in hand is finished and acknowledged → exit code 0.
            SIGKILL at any point loses nothing and doubles nothing (stream_worker.py, event_store.py)
Figures     /metrics and /livez on AISLE_INGEST_PORT; with the port taken the worker goes on without
"""

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import FrameType

import structlog

from services.feature.event_store import EventStore
from services.feature.event_writer import EventWriter
from services.feature.impression_writer import ImpressionWriter
from services.feature.outcomes import Outcomes
from services.feature.stream_worker import BLOCK_MS, StreamWorker
from services.feature.worker_endpoint import WorkerEndpoint
from services.feature.worker_metrics import WorkerMetrics
from shared.service.logs import configure_logging
from shared.service.metrics import ServiceMetrics
from shared.service.settings import Settings
from shared.storage.redis.clients import sync_client
from shared.storage.redis.event_stream import event_reader
from shared.storage.redis.impression_stream import impression_reader
from shared.storage.redis.stream_erasure import forget_claims
from shared.storage.redis.user_state import OnlineStateWriter
from shared.storage.relational.engine import STORAGE_DOWN_ERRORS, make_engine
from shared.storage.relational.schema_version import SchemaTooOldError, require_schema
from shared.storage.trouble import trouble_of

NAME = "ingest"
STUCK_AFTER_S = 60.0
CACHE_TIMEOUT_S = 2.0
STREAM_TIMEOUT_S = BLOCK_MS / 1000 + 5.0
WATCH_EVERY_S = 0.5
SCHEMA_WAIT_S = 1.0
GATHER_IMPRESSIONS_S = 0.2
"""nothing waits for an impression; at 50 lists a second ten are stored at once"""

log = structlog.get_logger()


def make_workers(settings: Settings, service: ServiceMetrics, closing: ExitStack) -> dict[str, StreamWorker]:
    """Return the two workers by the name of their stream; `closing` ends their connections."""
    engine = make_engine(settings.database_url, pool_size=2)
    closing.callback(engine.dispose)
    cache = sync_client(settings.redis_cache_url, CACHE_TIMEOUT_S)
    events = sync_client(settings.redis_stream_url, STREAM_TIMEOUT_S)
    impressions = sync_client(settings.redis_stream_url, STREAM_TIMEOUT_S)
    for client in (cache, events, impressions):
        closing.callback(client.close)
    # The same name after a restart, so that the group does not collect consumers that are no more.
    consumer = socket.gethostname()
    metrics, outcomes = WorkerMetrics(service), Outcomes(service, engine)
    event_figures, impression_figures = metrics.of("events"), metrics.of("impressions")
    store = EventStore(engine, OnlineStateWriter(cache, settings.namespace))
    return {
        "events": StreamWorker(
            event_reader(events, settings.namespace, settings.event_shards),
            EventWriter(store, event_figures, outcomes.count_acts, partial(forget_claims, events, settings.namespace)),
            consumer,
            event_figures,
        ),
        "impressions": StreamWorker(
            impression_reader(impressions, settings.namespace),
            ImpressionWriter(engine, impression_figures, outcomes.count_lists),
            consumer,
            impression_figures,
            GATHER_IMPRESSIONS_S,
        ),
    }


def run_until(workers: dict[str, StreamWorker], stopping: threading.Event) -> bool:
    """Turn all workers until told to stop; return whether every one of them ended because of that."""
    threads = [threading.Thread(target=worker.run, name=name) for name, worker in workers.items()]
    for thread in threads:
        thread.start()
    while not stopping.wait(WATCH_EVERY_S) and all(thread.is_alive() for thread in threads):
        pass
    clean = stopping.is_set()
    for worker in workers.values():
        worker.stop()
    for thread in threads:
        thread.join()
    return clean


def wait_for_schema(settings: Settings, stopping: threading.Event) -> None:
    """Return when the tables are those of this release, or when told to stop.

    On older ones every entry would fail like poison, and accepted events would end among the dead letters.
    """
    engine = make_engine(settings.database_url, pool_size=1)
    while not stopping.is_set():
        try:
            with engine.connect() as connection:
                require_schema(connection)
            break
        except (*STORAGE_DOWN_ERRORS, SchemaTooOldError) as error:
            log.error("ingest_waits", reason=trouble_of(error))
            stopping.wait(SCHEMA_WAIT_S)
    engine.dispose()


def main() -> int:
    """Run until a signal arrives; 1 if a thread died of a bug, for the supervisor to start the process anew."""
    settings = Settings.load()
    configure_logging(NAME, settings.log_level)
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, stop)
    service = ServiceMetrics(NAME)
    with ExitStack() as closing:
        workers = make_workers(settings, service, closing)
        begun = threading.Event()
        _open_endpoint(settings, service, lambda: not begun.is_set() or _turning(workers), closing)
        wait_for_schema(settings, stopping)
        begun.set()
        log.info("ingest_started", shards=settings.event_shards)
        clean = run_until(workers, stopping)
    log.info("ingest_stopped", clean=clean)
    return 0 if clean else 1


def _turning(workers: dict[str, StreamWorker]) -> bool:
    """Return whether every loop began a turn lately; a store that is away does not stop a loop."""
    return all(time.monotonic() - worker.turned_at_s < STUCK_AFTER_S for worker in workers.values())


def _open_endpoint(settings: Settings, service: ServiceMetrics, alive: Callable[[], bool], closing: ExitStack) -> None:
    try:
        endpoint = WorkerEndpoint(settings.host, settings.ingest_port, service.registry, alive)
    except OSError as error:
        log.warning("figures_port_taken", port=settings.ingest_port, error=type(error).__name__)
    else:
        closing.callback(endpoint.close)


if __name__ == "__main__":
    sys.exit(main())
