"""The edges of the ingest process: its port, and what a thread that dies means."""

import threading
import urllib.error
import urllib.request

import pytest

from services.feature.ingest import run_until
from services.feature.stream_worker import StreamWorker
from services.feature.worker_endpoint import WorkerEndpoint
from services.feature.worker_metrics import WorkerMetrics
from shared.service.metrics import ServiceMetrics
from tests.unit.feature.fakes import FakeStream, FakeWriter


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_port_answers_figures_and_whether_the_loops_turn() -> None:
    service = ServiceMetrics("ingest")
    WorkerMetrics(service).of("events").inserted.inc(3)
    alive = True
    endpoint = WorkerEndpoint("127.0.0.1", 0, service.registry, lambda: alive)
    try:
        assert b'aisle_ingest_inserted_total{stream="events"} 3.0' in get(endpoint.port, "/metrics")[1]
        assert get(endpoint.port, "/livez")[0] == 200
        alive = False
        assert get(endpoint.port, "/livez")[0] == 503
        assert get(endpoint.port, "/other")[0] == 404
    finally:
        endpoint.close()


def make_worker(stream: FakeStream) -> StreamWorker:
    return StreamWorker(stream, FakeWriter(), "me", WorkerMetrics(ServiceMetrics("ingest")).of("events"))


def test_told_to_stop_the_process_ends_well_after_the_batch_in_hand() -> None:
    stream, stopping = FakeStream(), threading.Event()
    stream.add(b"a")
    threading.Timer(0.2, stopping.set).start()
    assert run_until({"events": make_worker(stream)}, stopping)
    assert stream.acknowledged == ["1-0"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_of_a_bug_ends_the_process_for_its_supervisor_to_start_anew() -> None:
    broken = FakeStream()
    broken.lag = lambda: 1 / 0  # type: ignore[assignment, return-value]
    assert not run_until({"events": make_worker(broken), "impressions": make_worker(FakeStream())}, threading.Event())
