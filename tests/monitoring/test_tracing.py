"""One trace over two services: each answer and each call is a span, sent by OTLP where the settings say."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi import APIRouter, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from shared.service.app import create_service_app
from shared.service.http_client import HttpClient
from shared.service.request_context import current_request
from shared.service.settings import Settings
from tests.asgi_client import call

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """An OTLP collector on a port of its own."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/traces":
                    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                        collector.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def calling(url: str) -> APIRouter:
    """A route that calls another service and says under which trace."""
    router = APIRouter()

    @router.get("/ask/{name}")
    async def ask(name: str) -> Response:
        async with HttpClient(url) as other:
            await other.send("POST", f"/{name}", b"{}", 1000)
        return Response(current_request().traceparent)

    return router


async def test_the_answer_and_its_call_are_spans_of_the_callers_trace(collector: Collector) -> None:
    settings = Settings(otlp_url=collector.url)
    # The collector also plays the other service: any POST is answered with 200.
    app = create_service_app("gateway", settings, ready=lambda: None, routers=[calling(collector.url)])
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    async with app.router.lifespan_context(app):
        answer = await call(app, "GET", "/ask/secret-name", headers=headers)
        assert answer.status == 200
        assert (await call(app, "GET", "/livez")).status == 200
    server, client = sorted(collector.spans, key=lambda span: span.kind)
    assert {span.trace_id.hex() for span in (server, client)} == {TRACE}
    assert server.parent_span_id.hex() == PARENT
    assert client.parent_span_id == server.span_id
    assert server.name == "GET /ask/{name}"
    assert "secret-name" not in client.name
    assert answer.body.decode() == f"00-{TRACE}-{server.span_id.hex()}-01"


async def test_a_call_that_fails_is_a_span_of_its_own_error(collector: Collector) -> None:
    app = create_service_app(
        "gateway", Settings(otlp_url=collector.url), ready=lambda: None, routers=[calling("http://127.0.0.1:9")]
    )
    async with app.router.lifespan_context(app):
        assert (await call(app, "GET", "/ask/x")).status == 500
    assert [span.status.code for span in collector.spans] == [2, 2]


def test_without_the_setting_no_recorder_of_spans_is_imported() -> None:
    program = (
        "import sys, services.gateway.main; print([name for name in sys.modules if 'opentelemetry.sdk.trace' in name])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
