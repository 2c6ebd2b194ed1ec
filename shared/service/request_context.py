"""Which request is being answered: its id, its W3C trace and its deadline; follows the request through every await.

Called by   shared/service/middleware.py (sets it), http_client.py (passes it on), problems.py and logs.py (name it)
Headers     X-Request-Id, traceparent (W3C Trace Context), X-Aisle-Deadline-Ms (milliseconds left for the answer)
"""

import re
import secrets
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, replace

from shared.resilience.deadline import Deadline
from shared.service.tracing import Recorded, Tracing

REQUEST_ID = b"x-request-id"
TRACEPARENT = b"traceparent"
DEADLINE_MS = b"x-aisle-deadline-ms"

_SAFE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_MILLISECONDS = re.compile(rb"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What every log line, problem document and outgoing call of one request shares."""

    request_id: str
    traceparent: str | None = None
    deadline: Deadline | None = None
    tracing: Tracing | None = None
    """the recorder of this process, None unless traces are sent; `traceparent` is then that of our own span"""

    def outgoing_headers(self) -> dict[str, str]:
        """Return the headers that carry this context to another service."""
        headers = {"x-request-id": self.request_id}
        if self.traceparent is not None:
            version, trace_id, _, flags = self.traceparent.split("-")
            headers["traceparent"] = f"{version}-{trace_id}-{secrets.token_hex(8)}-{flags}"
        return headers


NO_REQUEST = RequestContext(request_id="")
_current: ContextVar[RequestContext] = ContextVar("aisle_request", default=NO_REQUEST)


def current_request() -> RequestContext:
    """Return the request being answered; outside of one, a context with an empty id."""
    return _current.get()


def enter_request(headers: list[tuple[bytes, bytes]]) -> RequestContext:
    """Read the context from request headers and make it current; a missing or unsafe id is replaced."""
    request_id = traceparent = deadline = None
    for name, value in headers:
        if name == REQUEST_ID and _SAFE_ID.fullmatch(value):
            request_id = value.decode("ascii")
        elif name == TRACEPARENT and _is_traceparent(value):
            traceparent = value.decode("ascii")
        elif name == DEADLINE_MS and _MILLISECONDS.fullmatch(value):
            deadline = Deadline.after(int(value))
    context = RequestContext(request_id or uuid.uuid4().hex, traceparent, deadline)
    _current.set(context)
    return context


def record_request(context: RequestContext, tracing: Tracing, span: Recorded) -> RequestContext:
    """Go on under the span of our own answer, so that calls to other services become its children."""
    context = replace(context, traceparent=span.traceparent, tracing=tracing)
    _current.set(context)
    return context


def _is_traceparent(value: bytes) -> bool:
    found = _TRACEPARENT.fullmatch(value)
    return found is not None and found[1] != b"0" * 32 and found[2] != b"0" * 16


def request_deadline(default_ms: float) -> Deadline:
    """Return the caller's deadline, or one `default_ms` from now if it sent none."""
    return current_request().deadline or Deadline.after(default_ms)
