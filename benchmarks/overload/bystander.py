"""How soon a crowded shop answers somebody who is no part of the crowd: a few requests a second, each on a thread's own
connection, blocking.

Called by   benchmarks/overload/surge.py, as a process: python -m benchmarks.overload.bystander, an Errand on stdin
Out         [[kind, milliseconds], ...] on stdout; kind is the degraded_reason of a list, or status_<number>
Why         what sends the crowd is one event loop with thousands of answers to read. How long an answer lies there is
            not the shop's doing. From the first byte sent to the last one read on an idle connection all of it is, also
            the time before the gateway looks at a request
Open        each connection asks once in PAUSE_S, counted from the moment it should have asked, whatever came before
"""

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONNECTIONS = 20
PAUSE_S = 0.5
TIMEOUT_S = 10.0

Seen = tuple[str, float]


@dataclass(frozen=True)
class Errand:
    """Whom to ask, and what."""

    url: str
    headers: dict[str, str]
    bodies: list[Any]
    """one for each request, in the order of their moments"""


def ask_all(errand: Errand) -> list[Seen]:
    """Ask everything, each in its moment; return what was answered and when."""
    begun_s = time.perf_counter() + PAUSE_S
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        lanes = threads.map(lambda lane: _ask_lane(errand, lane, begun_s), range(CONNECTIONS))
        return [seen for lane in lanes for seen in lane]


def _ask_lane(errand: Errand, lane: int, begun_s: float) -> list[Seen]:
    parts = urlsplit(errand.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
    connection.connect()
    seen = []
    for number in range(lane, len(errand.bodies), CONNECTIONS):
        due_s = begun_s + number * PAUSE_S / CONNECTIONS
        body = json.dumps(errand.bodies[number])
        time.sleep(max(0.0, due_s - time.perf_counter()))
        connection.request("POST", parts.path, body, errand.headers)
        answer = connection.getresponse()
        text = answer.read()
        seen.append((_kind(answer.status, text), (time.perf_counter() - due_s) * 1000))
    return seen


def _kind(status: int, text: bytes) -> str:
    return str(json.loads(text)["degraded_reason"]) if status == 200 else f"status_{status}"


if __name__ == "__main__":
    json.dump(ask_all(Errand(**json.load(sys.stdin))), sys.stdout)
