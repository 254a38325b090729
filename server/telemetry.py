"""Spans through OpenTelemetry, when an exporter is configured; nothing of it is imported otherwise.

The exporter is configured as everywhere: `OTEL_EXPORTER_OTLP_ENDPOINT` and the variables beside it
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
"""

import logging
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio

from server.settings import Settings
from server.version import VERSION
from tools.tracing import NO_SPANS, Span, Spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

__all__ = ["ExportedSpans", "open_spans"]

_log = logging.getLogger(__name__)

#: How long the last spans may take to go out when the program ends.
_CLOSE_SECONDS = 3.0


@asynccontextmanager
async def open_spans(settings: Settings) -> AsyncGenerator[Spans]:
    """Spans that are exported, or none; the last ones go out on leaving, or are dropped."""
    if not settings.exports_traces:
        yield NO_SPANS
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        _log.warning("traces are not exported: install callslip[otel]")
        yield NO_SPANS
        return
    spans = ExportedSpans(OTLPSpanExporter(timeout=_CLOSE_SECONDS))
    try:
        yield spans
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
            await anyio.to_thread.run_sync(spans.close, abandon_on_cancel=True)


class ExportedSpans:
    """Spans that an exporter gets."""

    def __init__(self, exporter: "SpanExporter") -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": "callslip", "service.version": VERSION})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self._provider.get_tracer("callslip", VERSION)

    @contextmanager
    def span(
        self, name: str, parent: str | None, attributes: Mapping[str, str | int]
    ) -> Generator[Span]:
        """A span below a traceparent."""
        from opentelemetry.context import Context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {} if parent is None else {"traceparent": parent}
        above = TraceContextTextMapPropagator().extract(carrier, Context())
        span = self._tracer.start_span(name, above, attributes=dict(attributes))
        try:
            yield _ExportedSpan(span)
        finally:
            span.end()

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


class _ExportedSpan:
    def __init__(self, span: "OtelSpan") -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, message: str) -> None:
        from opentelemetry.trace import StatusCode

        self._span.set_status(StatusCode.ERROR, message)
