"""What a service sets up before it serves."""

import sys
import threading
import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from shared.service.app import Drain
from shared.service.server import SWITCH_S, DrainingServer, serve
from shared.service.settings import Settings


@pytest.fixture
def usual_switching() -> Iterator[float]:
    """Give the interval back to the tests that come after."""
    before_s = sys.getswitchinterval()
    yield before_s
    sys.setswitchinterval(before_s)


def test_a_thread_that_computes_does_not_keep_a_service_from_its_event_loop(
    usual_switching: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits_s: list[float] = []
    monkeypatch.setattr(DrainingServer, "run", lambda server, sockets: waits_s.extend(waits_beside_a_busy_thread()))
    app = FastAPI()
    app.state.drain = Drain()
    serve(app, Settings(), "feature")
    assert len(waits_s) == 20
    assert sorted(waits_s)[10] < usual_switching
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)


def waits_beside_a_busy_thread() -> list[float]:
    """Return how long this thread waited for the interpreter, beyond its sleep, while another computes."""
    done = threading.Event()
    busy = threading.Thread(target=lambda: [sum(range(100)) for _ in iter(done.is_set, True)])
    busy.start()
    waits_s = []
    for _ in range(20):
        began_s = time.perf_counter()
        time.sleep(0.001)
        waits_s.append(time.perf_counter() - began_s - 0.001)
    done.set()
    busy.join()
    return waits_s
