"""Spans of answers and calls, sent by OTLP: only where AISLE_OTLP_URL says where to, and never in the way of an answer.

Called by   shared/service/app.py (makes it), middleware.py (a span for each answer), http_client.py (one for each call)
In          the W3C traceparent of the caller; out: the traceparent of the span, for whoever is called next
Sampling    as the caller decided; a request that begins here is recorded
Cost        none when it is not configured: no import, one comparison a request. Spans are sent by a thread of their own
Errors      without the extra `tracing` the process ends, naming the setting; a collector that is away misses spans
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.service.settings import Settings, refuse_settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanKind

TRACES_PATH = "/v1/traces"
EXPORT_TIMEOUT_S = 5


class Recorded:
    """One span that was begun; `end` it in a finally block."""

    def __init__(self, span: "Span") -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def end(self, name: str, status: int | None) -> None:
        """Say what it was and how it ended: an HTTP status, None when there was no answer."""
        from opentelemetry.trace import StatusCode

        self._span.update_name(name)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if status is None or status >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class Tracing:
    """The recorder of one process."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("aisle")

    def begin_answer(self, method: str, traceparent: str | None) -> Recorded:
        """Begin the span of a request that arrived."""
        from opentelemetry.trace import SpanKind

        return self._begin(method, SpanKind.SERVER, traceparent)

    def begin_call(self, method: str, traceparent: str | None) -> Recorded:
        """Begin the span of a request to another service."""
        from opentelemetry.trace import SpanKind

        return self._begin(method, SpanKind.CLIENT, traceparent)

    def _begin(self, method: str, kind: "SpanKind", traceparent: str | None) -> Recorded:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {} if traceparent is None else {"traceparent": traceparent}
        parent = TraceContextTextMapPropagator().extract(carrier)
        attributes = {"http.request.method": method}
        return Recorded(self._tracer.start_span(method, parent, kind, attributes))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def tracing_of(service: str, settings: Settings) -> Tracing | None:
    """Return the recorder that the settings ask for, None when they ask for none."""
    if not settings.otlp_url:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        refuse_settings(["AISLE_OTLP_URL: needs the extra `tracing` (pip install 'aisle[tracing]')"])
    exporter = OTLPSpanExporter(settings.otlp_url + TRACES_PATH, timeout=EXPORT_TIMEOUT_S)
    return tracing_to(service, settings.namespace, [exporter])


def tracing_to(service: str, namespace: str, exporters: "Sequence[SpanExporter]") -> Tracing:
    """Return a recorder that sends to exporters, in batches, from threads of their own."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create({"service.name": f"aisle-{service}", "service.namespace": namespace})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)
