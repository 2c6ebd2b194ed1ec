"""Networks that are worse than away: replies lost, connections mute, answers a byte at a time, resets."""

import time
from collections.abc import Callable

import pytest

from tests.faults.database import stored
from tests.faults.stack import FaultStack
from tests.faults.traffic import Traffic
from tests.running_shop import until

EVENTS = 60
MOST_TRIES = 10
DOUBT_MS = 6000
"""the stream's timeout, then that of the insert, then room"""


def send_events(stack: FaultStack, prefix: str, number: int = EVENTS) -> tuple[list[str], float]:
    """Send events one by one, each again until it is accepted; return their ids and the longest wait for an answer."""
    accepted, slowest_ms = [], 0.0
    for place in range(number):
        event = {"type": "view", "user_id": prefix, "item_id": "wine-plain-0", "event_id": f"{prefix}-{place:03}"}
        for _ in range(MOST_TRIES):
            begun_s = time.monotonic()
            answer = stack.post("/events", event)
            slowest_ms = max(slowest_ms, (time.monotonic() - begun_s) * 1000)
            if answer.status == 202:
                break
            # What a shop is asked to do when nothing could be stored just now.
            assert answer.status == 503
            time.sleep(int(answer.headers["Retry-After"]))
        assert answer.body["accepted"] + answer.body["duplicates"] == 1
        accepted.append(event["event_id"])
    return accepted, slowest_ms


@pytest.mark.case("X1")
def test_events_whose_receipt_is_lost_between_stream_and_gateway_are_stored_once(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    with Traffic(stack, 6) as traffic:
        stack.proxies["stream"].lose_replies()
        accepted, _ = send_events(stack, "x1")
        stack.proxies["stream"].clear()
    in_time = traffic.in_time()
    until(lambda: stored(stack, "x1-%") == sorted(accepted), 20)
    until(lambda: stack.figures("ingest").of("ingest_pending_entries", stream="events") == 0, 20)
    assert stored(stack, "x1-%") == sorted(accepted)
    held(f"{len(accepted)} accepted while every reply of the stream was lost, {len(accepted)} stored once; {in_time}")


@pytest.mark.case("X2")
def test_a_stream_that_accepts_connections_and_says_nothing_costs_events_one_timeout_and_lists_nothing(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    with Traffic(stack, 25) as traffic:
        stack.proxies["stream"].timeout()
        accepted, slowest_ms = send_events(stack, "x2", 15)
        breaker = stack.figures().of("breaker_state", dependency="event_stream")
        stack.proxies["stream"].clear()
    in_time = traffic.in_time()
    assert slowest_ms <= DOUBT_MS
    assert breaker > 0
    until(lambda: stored(stack, "x2-%") == sorted(accepted), 20)
    stack.await_personal()
    held(f"{len(accepted)} accepted and stored once, the slowest receipt {slowest_ms:.0f} ms; {in_time}")


@pytest.mark.case("X3")
@pytest.mark.parametrize("fault", ["timeout", "bandwidth", "reset_peer"])
@pytest.mark.parametrize("service", ["feature", "ranking", "cache"])
def test_a_peer_that_is_mute_trickles_or_resets_keeps_no_list_waiting(
    stack: FaultStack, held: Callable[[str], None], service: str, fault: str
) -> None:
    proxy = stack.proxies[service]
    with Traffic(stack, 4) as traffic:
        time.sleep(0.5)
        proxy.bandwidth(50) if fault == "bandwidth" else getattr(proxy, fault)()
        time.sleep(2.5)
        breaker = stack.figures().of("breaker_state", dependency=service)
        proxy.clear()
    in_time = traffic.in_time()
    assert breaker > 0
    stack.await_personal()
    held(f"{service} {fault}: {in_time}")
