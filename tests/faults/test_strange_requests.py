"""F18, F19, F21: requests that are malformed, endless, slow or want more than they may; refused early, and in order."""

import gzip
import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from deploy.local.ports import LOOPBACK
from shared.service.bounded_protocol import HEAD_TIMEOUT_S
from tests.faults.database import rows
from tests.faults.stack import KEY, FaultStack
from tests.faults.traffic import Traffic

MIB = 1024 * 1024
SLOW_CLIENTS = 200
SECRET = "do-not-echo-this"


def exchange(stack: FaultStack, head: str, body: bytes = b"", timeout_s: float = 10) -> tuple[int, bytes]:
    """Send these bytes as they are; return status and body of what comes back before the connection ends."""
    with socket.create_connection((LOOPBACK, stack.ports["gateway"]), timeout_s) as connection:
        answer = b""
        # Refused while we still talk: the answer is there to be read, and then the connection breaks.
        with suppress(OSError):
            connection.sendall(f"{head}\r\nX-API-Key: {KEY}\r\nHost: shop\r\nConnection: close\r\n\r\n".encode() + body)
        with suppress(ConnectionResetError):
            while chunk := connection.recv(65536):
                answer += chunk
    head_text, _, content = answer.partition(b"\r\n\r\n")
    return int(head_text.split(b" ")[1]), content


def post(stack: FaultStack, body: bytes, *headers: str, path: str = "/recommend") -> tuple[int, bytes]:
    """Send a body with its true length; JSON unless a header says otherwise."""
    typed = (
        []
        if any(header.lower().startswith("content-type") for header in headers)
        else ["Content-Type: application/json"]
    )
    return exchange(
        stack, "\r\n".join([f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}", *typed, *headers]), body
    )


@pytest.mark.case("F18")
@pytest.mark.quick
def test_malformed_requests_are_refused_with_a_code_and_nothing_of_them_comes_back(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    good = {"user_id": "x", "context": {"query": SECRET}}
    bodies: dict[str, tuple[bytes, int]] = {
        f"num_items {value}": (json.dumps(good | {"num_items": value}).encode(), 422)
        for value in (0, -1, 201, 10**9, "5", 5.5, None, True)
    }
    bodies |= {
        "no user": (b'{"num_items": 5}', 422),
        "extra key": (json.dumps(good | {"not_a_field": SECRET}).encode(), 422),
        "extra key of 10,000 letters": (json.dumps(good | {"x" * 10_000: 1}).encode(), 422),
        "duplicate key": (b'{"user_id": "x", "user_id": "do-not-echo-this"}', 400),
        "NaN": (b'{"user_id": "x", "objective": {"click": NaN}}', 400),
        "Infinity": (b'{"user_id": "x", "objective": {"click": Infinity}}', 400),
        "depth 10,000": (b'{"user_id": "x", "context": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", 400),
        "invalid UTF-8": (b'{"user_id": "\xff\xfe"}', 400),
        "half a document": (b'{"user_id": "do-not-echo-this"', 400),
        "empty": (b"", 400),
    }
    for name, (body, wanted) in bodies.items():
        refused(*post(stack, body), wanted, name)
    refused(*post(stack, json.dumps(good).encode(), "Content-Type: text/plain"), 415, "wrong type")
    refused(*exchange(stack, "GET /recommend HTTP/1.1"), 405, "GET")
    errors = stack.figures().of("http_request_seconds_count", outcome="error", route="/recommend")
    assert errors == 0
    stack.await_personal()
    held(f"{len(bodies) + 2} malformed requests: 400, 405, 415 or 422 with a code, under 1 KiB, nothing echoed, no 5xx")


def refused(status: int, content: bytes, wanted: int, name: str) -> None:
    """Assert a small problem document with a code, without a stack and without what was sent."""
    assert status == wanted, (name, status, content[:300])
    document = json.loads(content)
    assert document["code"], name
    assert len(content) < 1024, name
    assert SECRET.encode() not in content, name
    assert b"Traceback" not in content, name


@pytest.mark.case("F19")
def test_bodies_and_heads_without_end_are_refused_before_they_are_in_memory(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    gateway = stack.children["gateway"].process
    before_mb = gateway.memory_info().rss / MIB
    statuses = {
        "10 MB": post(stack, b"x" * 10 * MIB)[0],
        "10 MB chunked": exchange(stack, chunked_head(), chunks(10 * MIB))[0],
        "gzip bomb": post(stack, gzip.compress(b" " * 100 * MIB), "Content-Encoding: gzip")[0],
        "100 kB header": post(stack, b"{}", f"X-Long: {'x' * 100_000}")[0],
    }
    assert statuses == {"10 MB": 413, "10 MB chunked": 413, "gzip bomb": 415, "100 kB header": 431}
    grown_mb = gateway.memory_info().rss / MIB - before_mb
    assert grown_mb < 5, f"{grown_mb:.1f} MiB"
    with ExitStack() as slow, Traffic(stack, HEAD_TIMEOUT_S + 4) as traffic:
        clients = [slow.enter_context(slow_client(stack)) for _ in range(SLOW_CLIENTS)]
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + HEAD_TIMEOUT_S + 2 and any(client.fileno() >= 0 for client in clients):
            trickle(clients)
            time.sleep(1)
        gone = sum(client.fileno() < 0 for client in clients)
    in_time = traffic.in_time()
    assert gone == SLOW_CLIENTS
    assert traffic.seen.degraded == {}
    held(f"413, 413, 415, 431 with {max(grown_mb, 0):.1f} MiB; {gone} slow clients closed, beside them {in_time}")


def chunked_head() -> str:
    return "POST /recommend HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json"


def chunks(size: int) -> bytes:
    """Return a chunked body of a size that no header says."""
    return (
        b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        if size <= 0x10000
        else chunks(0x10000) * (size // 0x10000) + b"0\r\n\r\n"
    )


def slow_client(stack: FaultStack) -> socket.socket:
    """Return a connection that has begun a request and will send a byte a second."""
    client = socket.create_connection((LOOPBACK, stack.ports["gateway"]), 5)
    client.sendall(b"POST /recommend HTTP/1.1\r\nHost: shop\r\nX-Slow: ")
    client.setblocking(False)
    return client


def trickle(clients: list[socket.socket]) -> None:
    """Send a byte on each connection that the gateway has not closed, and close those that it has."""
    for client in clients:
        if client.fileno() < 0:
            continue
        try:
            client.send(b"x")
            if client.recv(1) == b"":
                client.close()
        except BlockingIOError:
            continue
        except OSError:
            client.close()


@pytest.mark.case("F21")
@pytest.mark.quick
def test_fields_that_would_give_more_than_a_caller_may_are_refused_and_change_nothing(
    stack: FaultStack, held: Callable[[str], None]
) -> None:
    privileged = {"tenant_id": "other", "model_version": "v0", "score": 9.0, "is_admin": True, "consent": None}
    before = counts(stack)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/recommend", {"user_id": "x"}),
        ("/items", {"items": [{"item_id": "f21"}]}),
        ("/users", {"users": [{"user_id": "f21"}]}),
    ]
    tried = 0
    for path, body in calls:
        for name, value in privileged.items():
            if (path, name) == ("/users", "consent"):
                continue
            wanted = body | {name: value} if path == "/recommend" else one_inside(body, name, value)
            answer = stack.post(path, wanted)
            assert answer.status == 422, (path, name, answer.body)
            tried += 1
    for name, value in privileged.items():
        event = {"type": "view", "user_id": "f21", "item_id": "wine-plain-0", "event_id": "f21", name: value}
        receipt = stack.post("/events", event).body
        assert (receipt["accepted"], receipt["rejected"][0]["code"]) == (0, "invalid_event"), name
        tried += 1
    assert counts(stack) == before
    assert stack.get("/users/f21").status == 404
    held(f"{tried} calls with a tenant, a model, a score or rights of their own refused; no row of any table changed")


def one_inside(body: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """Return a batch whose one entry has a field more."""
    return {key: [entry | {name: value} for entry in entries] for key, entries in body.items()}


def counts(stack: FaultStack) -> dict[str, int]:
    """Return how many rows the tables hold that a caller can change."""
    tables = ("items", "users", "api_keys", "model_versions", "rules", "erasures")
    return {table: rows(stack, f"SELECT count(*) AS number FROM {table}")[0].number for table in tables}  # noqa: S608
