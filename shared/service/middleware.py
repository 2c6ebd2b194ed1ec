"""What happens around every request: its identity, its figures, shedding, and a last resort for bugs.

Called by   shared/service/app.py, once for each service, outside of everything else
Shape       plain ASGI, one class: Starlette's BaseHTTPMiddleware would cost more than a route does
Errors      an exception nobody expected becomes a 500 problem document and a log line with the stack
"""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.contracts.problems import ProblemCode
from shared.service.metrics import ServiceMetrics
from shared.service.problems import ProblemError, internal_problem, problem_response, unavailable
from shared.service.request_context import REQUEST_ID, TRACEPARENT, RequestContext, enter_request, record_request
from shared.service.tracing import Tracing

OPERATIONS_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
MAX_HEADER_BYTES = 32 * 1024
UNMATCHED = "unmatched"
CACHE_CONTROL = b"cache-control"
NO_STORE = (CACHE_CONTROL, b"no-store")
"""unless a route says otherwise: an answer is one shopper's, or changes by the second"""
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)

log = structlog.get_logger(__name__)


class RequestMiddleware:
    """Wraps the whole application of one service."""

    def __init__(
        self, app: ASGIApp, metrics: ServiceMetrics, max_requests: int, tracing: Tracing | None = None
    ) -> None:
        self._tracing = tracing
        self._app = app
        self._metrics = metrics
        self._max_requests = max_requests
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        context, span = enter_request(scope["headers"]), None
        if self._tracing is not None and scope["path"] not in OPERATIONS_PATHS:
            span = self._tracing.begin_answer(_method(scope), context.traceparent)
            context = record_request(context, self._tracing, span)
        answer = _Answer(send, context)
        self._in_flight += 1
        self._metrics.in_flight.inc()
        try:
            await self._answer(scope, receive, answer)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()
            route = getattr(scope.get("route"), "path_format", UNMATCHED)
            self._metrics.observe_request(_method(scope), route, answer.status, time.perf_counter() - started_s)
            if span is not None:
                span.end(f"{_method(scope)} {route}", answer.status)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        if refusal := self._refusal(scope):
            await problem_response(refusal)(scope, receive, answer)
            return
        try:
            await self._app(scope, receive, answer)
        except Exception:
            # The edge of the process: a bug in one request must not end the service.
            log.exception("request_failed", path=scope["path"])
            if answer.started:
                raise
            await problem_response(internal_problem())(scope, receive, answer)

    def _refusal(self, scope: Scope) -> ProblemError | None:
        if self._in_flight > self._max_requests and scope["path"] not in OPERATIONS_PATHS:
            return unavailable("too many requests at once")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            return ProblemError(431, ProblemCode.INVALID_REQUEST, "the request headers are too large")
        return None


class _Answer:
    """Passes the answer on, with the request's id and trace in its headers; remembers the status."""

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self.started = False
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            headers = [*message.get("headers", ()), *SECURITY_HEADERS]
            if not any(name == CACHE_CONTROL for name, _ in headers):
                headers.append(NO_STORE)
            headers.append((REQUEST_ID, self._context.request_id.encode("ascii")))
            if self._context.traceparent is not None:
                headers.append((TRACEPARENT, self._context.traceparent.encode("ascii")))
            message = {**message, "headers": headers}
        await self._send(message)


def _method(scope: Scope) -> str:
    """Return the method if it is one of HTTP's; a client may send any word."""
    method: str = scope["method"]
    return method if method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} else "OTHER"
