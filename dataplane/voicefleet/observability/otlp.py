"""Spans by OpenTelemetry, sent by OTLP over HTTP from a thread of their own.

Imported only where an endpoint is set. The queue is bounded (OTEL_BSP_MAX_QUEUE_SIZE, 2048): what a collector that is
away or slow does not take is dropped. The sampler, headers and certificates are OpenTelemetry's own OTEL_* variables.
"""

import threading
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OpenTelemetrySpan
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from voicefleet.observability.traces import TRACEPARENT, Span

LAST_CHANCE: Final = 1.0
"""Seconds at the end of a process for what is still queued."""
_ATTRIBUTES: Final = "voicefleet."
_CONTEXT: Final = TraceContextTextMapPropagator()


class OtlpTraces:
    """The spans of one process (`traces.Traces`)."""

    def __init__(self, endpoint: str, service: str, instance: str) -> None:
        resource = Resource.create({"service.name": f"voicefleet-{service}", "service.instance.id": instance})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("voicefleet")

    def begin(self, name: str, parent: str = "", *, began: float | None = None) -> Span:
        """A span whose parent is elsewhere, or nowhere; a `traceparent` that is none counts as no parent."""
        context = _CONTEXT.extract({TRACEPARENT: parent})
        span = self._tracer.start_span(name, context, SpanKind.SERVER, start_time=_nanoseconds(began))
        return _Span(self._tracer, span)

    def close(self) -> None:
        """Send what is left, for a moment at most; blocks."""
        # By itself it would wait for half a minute where nobody answers.
        sending = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        sending.start()
        sending.join(LAST_CHANCE)


class _Span:
    def __init__(self, tracer: Tracer, span: OpenTelemetrySpan) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, set_span_in_context(self._span))
        return carrier.get(TRACEPARENT, "")

    @property
    def trace_id(self) -> str:
        context = self._span.get_span_context()
        return format_trace_id(context.trace_id) if context.trace_flags.sampled else ""

    def child(self, name: str, *, asks: bool = False, began: float | None = None) -> Span:
        kind = SpanKind.CLIENT if asks else SpanKind.INTERNAL
        context = set_span_in_context(self._span)
        return _Span(self._tracer, self._tracer.start_span(name, context, kind, start_time=_nanoseconds(began)))

    def note(self, **attributes: str | int) -> None:
        for name, value in attributes.items():
            self._span.set_attribute(_ATTRIBUTES + name, value)

    def end(self, failure: str = "", *, at: float | None = None) -> None:
        if failure:
            self._span.set_status(Status(StatusCode.ERROR, failure))
        self._span.end(_nanoseconds(at))


def _nanoseconds(moment: float | None) -> int | None:
    return None if moment is None else round(moment * 1e9)
