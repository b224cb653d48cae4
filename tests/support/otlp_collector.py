"""A collector of traces: takes OTLP over HTTP, and reads it by OpenTelemetry's own protobuf classes."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

from tests.support.facts import eventually
from voicefleet.observability.health import served


@dataclass(frozen=True, slots=True)
class Seen:
    """A span, and which service sent it."""

    service: str
    span: ProtoSpan

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def noted(self) -> dict[str, str | int]:
        """Its attributes."""
        return {
            each.key: each.value.string_value if each.value.HasField("string_value") else each.value.int_value
            for each in self.span.attributes
        }


@dataclass(slots=True)
class Collector:
    """What came so far."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    requests: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, name: str) -> list[Seen]:
        return [each for each in self.seen if each.span.name == name]

    def below(self, parent: Seen) -> list[Seen]:
        """The children of a span, by when they began."""
        children = [each for each in self.seen if each.span.parent_span_id == parent.span.span_id]
        return sorted(children, key=lambda each: each.span.end_time_unix_nano)

    async def one(self, name: str) -> Seen:
        """The only span of this name, once it came."""
        await eventually(lambda: len(self.named(name)) > 0, f"a span {name} came")
        (found,) = self.named(name)
        return found

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        sent = ExportTraceServiceRequest.FromString(body)
        self.requests += 1
        for resource in sent.resource_spans:
            service = {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"]
            self.seen += [Seen(service, span) for scope in resource.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """A collector that listens."""
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    async with served(app, "127.0.0.1", 0) as port:
        made.port = port
        yield made
