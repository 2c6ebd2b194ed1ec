"""F14: every process is told to stop under load, one at a time, with two of each; no request fails."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from deploy.local.ports import free_port
from tests.faults.child import Child
from tests.faults.database import stored
from tests.faults.stack import FaultStack
from tests.faults.tcp_proxy import TcpProxy
from tests.faults.traffic import Traffic
from tests.running_shop import until

DRAIN_S = 1.0
ENDS_S = 20.0
LOOK_S = 0.1
BALANCED = ("gateway", "feature", "ranking")


class Replicas:
    """Two of each service behind a proxy that sends nobody to one that is not ready, as Kubernetes does."""

    def __init__(self, stack: FaultStack) -> None:
        self.stack = stack
        self.front = stack.network.proxy(free_port(), stack.ports["gateway"])
        self.proxies = {**stack.proxies, "gateway": self.front}
        self.pods: dict[str, list[Child]] = {}
        self._ready: set[int] = set()
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._look)

    def start(self) -> None:
        """Put two new pods of each service in the place of the one; these drain before they stop."""
        for name in BALANCED:
            ports = [free_port(), free_port()]
            drain = {"AISLE_DRAIN_S": str(DRAIN_S)}
            self.pods[name] = [self.stack.child(name, port, **drain) for port in ports]
            for pod in self.pods[name]:
                pod.start()
            self._ready.update(ports)
            self._balance(self.proxies[name], ports)
        self._watch.start()

    def stop(self) -> None:
        """Take the pods away again."""
        self._stopping.set()
        if self._watch.is_alive():
            self._watch.join()
        for name in BALANCED:
            self._balance(self.proxies[name], [self.stack.ports[name]])
            for pod in self.pods.get(name, []):
                pod.stop()

    def _balance(self, proxy: TcpProxy, ports: list[int]) -> None:
        proxy.behind = ports
        proxy.healthy = lambda port: port in self._ready

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_S):
            for name, pods in self.pods.items():
                for pod in pods:
                    port = pod.plan.port
                    assert port is not None
                    (self._ready.add if self.stack.is_ready(name, port) else self._ready.discard)(port)


@pytest.fixture
def replicas(stack: FaultStack) -> Iterator[Replicas]:
    replicas = Replicas(stack)
    try:
        replicas.start()
        yield replicas
    finally:
        replicas.stop()


@pytest.mark.case("F14")
def test_every_process_told_to_stop_under_load_fails_no_request_and_ends_with_code_zero(
    replicas: Replicas, held: Callable[[str], None]
) -> None:
    stack, ended_s = replicas.stack, list[float]()
    with Traffic(stack, 45, port=replicas.front.port) as traffic:
        script_ends_s = time.monotonic() + 44
        for name in BALANCED:
            for pod in replicas.pods[name]:
                ended_s.append(seconds_to_end(pod))
                pod.start()
                time.sleep(3 * LOOK_S)
        for number in range(200):
            event = {"type": "view", "user_id": "f14", "item_id": "wine-plain-0", "event_id": f"f14-{number:03}"}
            assert stack.post("/events", event).body["accepted"] == 1
            if number == 100:
                ended_s.append(seconds_to_end(stack.children["ingest"]))
                stack.children["ingest"].start()
        assert time.monotonic() < script_ends_s, "the stops took longer than the load"
    in_time = traffic.in_time()
    assert traffic.seen.degraded == {}
    until(lambda: len(stored(stack, "f14-%")) == 200, 10)
    retried = sum(
        stack.figures("gateway", pod.plan.port).of("dependency_calls_total", outcome="retried")
        for pod in replicas.pods["gateway"]
    )
    held(
        f"{len(ended_s)} stops, the slowest {max(ended_s):.1f} s, code 0; {in_time}, none lesser, {retried:.0f} calls"
        " repeated; 200 events accepted, 200 stored"
    )


def seconds_to_end(pod: Child) -> float:
    """Tell a process to stop; assert that it ends well and in time, and return how long it took."""
    begun_s = time.monotonic()
    pod.ask_to_stop()
    assert pod.ended(ENDS_S) == 0
    return time.monotonic() - begun_s
