"""Traces through OpenTelemetry, sent by OTLP over HTTP. Imported only where they are wanted.

What the SDK reads from the environment holds here, too: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_MAX_QUEUE_SIZE` and so on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bind_contextvars, get_contextvars

from server.errors import public_error
from server.state.tracing import Tracing, TurnTrace
from server.version import package_version
from streaming.realtime.conversation import new_id
from streaming.report import TurnReport

log = logging.getLogger("cslm.traces")

_PATH = "/v1/traces"
_SEND_S = 3.0
"""Longest time for a batch, all tries together. The server's end waits for two at most where the collector does not answer."""
_OF_SENDING = "opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal"
_NS = 1_000_000_000
_IDS = ("trace_id", "span_id")


class OpenTelemetry(Tracing):
    """Spans of sessions, turns and stages. `endpoint`: of the collector; `share`: of the traces that begin here and are kept.

    A collector that does not answer costs its traces: some thousand spans wait for it, then the latest are lost.
    """

    def __init__(self, endpoint: str, share: float) -> None:
        address = endpoint if urlsplit(endpoint).path.strip("/") else f"{endpoint.rstrip('/')}{_PATH}"
        own = {"service.name": "cslm-serve", "service.version": package_version(), "service.instance.id": new_id("srv")}
        resource = Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())
        self._exporter = _Exporter(address)
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("cslm")

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """At the end what has not been sent is sent, if the collector answers."""
        for name in _OF_SENDING:
            logging.getLogger(name).addFilter(self._exporter.once)
        try:
            yield
        finally:
            self._exporter.leaving = True
            await asyncio.to_thread(self._provider.shutdown)
            for name in _OF_SENDING:
                logging.getLogger(name).removeFilter(self._exporter.once)

    @contextmanager
    def session(self, transport: str) -> Generator[None]:
        """The span is the parent of its turns, and a child of what the client's `traceparent` names."""
        name = "request" if transport == "rest" else "session"
        span = self._tracer.start_span(name, kind=SpanKind.SERVER, attributes={"cslm.transport": transport})
        # An error's message may quote the client: the span has its code alone.
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            bind_contextvars(**_ids(span))
            try:
                yield
            except Exception as failure:
                span.set_attribute("error.type", public_error(failure).code)
                if public_error(failure).type == "server_error":
                    span.set_status(StatusCode.ERROR)
                raise
            finally:
                span.set_attributes(_bound())

    def turn(self, turn_id: str) -> TurnTrace:
        return _Turn(self._tracer, turn_id)


class _Turn(TurnTrace):
    def __init__(self, tracer: Tracer, turn_id: str) -> None:
        self._tracer = tracer
        self._began_ns = time.time_ns()
        attributes = {**_bound(), "cslm.turn_id": turn_id}
        self._span = tracer.start_span("turn", attributes=attributes, start_time=self._began_ns)
        self.ids = _ids(self._span)
        self.exemplar = dict(self.ids) if self._span.get_span_context().trace_flags.sampled else None

    def end(self, report: TurnReport, outcome: str) -> None:
        if not self._span.is_recording():
            return
        now_s = (time.time_ns() - self._began_ns) / _NS
        figures = {f"cslm.{name}": value for name, value in report.figures().items() if value is not None}
        self._span.set_attributes({**figures, "cslm.outcome": outcome})
        if outcome == "failed":
            self._span.set_status(StatusCode.ERROR)
        around = set_span_in_context(self._span)
        for stage in report.stages(None if outcome == "completed" else now_s):
            span = self._tracer.start_span(stage.stage, around, start_time=self._at_ns(stage.began_s))
            if stage.stage in ("vocoder", "playout"):
                span.set_attributes({"cslm.units": stage.units, "cslm.audio_s": round(stage.audio_s, 3)})
            span.end(self._at_ns(stage.ended_s))
        self._span.end(self._at_ns(now_s if report.done_s is None else report.done_s))

    def _at_ns(self, at_s: float) -> int:
        return self._began_ns + round(at_s * _NS)


def _ids(span: Span) -> dict[str, str]:
    known = span.get_span_context()
    return dict(zip(_IDS, (f"{known.trace_id:032x}", f"{known.span_id:016x}"), strict=True))


def _bound() -> dict[str, str]:
    """What the log lines of this task carry: the ids of request, call and session."""
    return {f"cslm.{name}": str(value) for name, value in get_contextvars().items() if name not in _IDS}


@contextmanager
def parent_of(headers: Mapping[str, str]) -> Generator[None]:
    """What begins in the context is part of the trace that `traceparent` in `headers` names, if one does (W3C Trace Context)."""
    token = context.attach(TraceContextTextMapPropagator().extract(headers, context.Context()))
    try:
        yield
    finally:
        context.detach(token)


class _Once(logging.Filter):
    """Lets one line through until `told` is taken back."""

    told = False

    def filter(self, record: logging.LogRecord) -> bool:
        told, self.told = self.told, True
        return not told


class _Exporter(OTLPSpanExporter):
    """Says once that the collector does not take spans, with the SDK's first reason, and once that it does again.

    `leaving`: the server is about to end, and waits for a collector that does not answer no longer.
    """

    def __init__(self, address: str) -> None:
        super().__init__(address, timeout=_SEND_S)
        parts = urlsplit(address)
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # without a password
        self._failing = self._gave_up = self.leaving = False
        self.once = _Once()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._gave_up:
            return SpanExportResult.FAILURE
        result = super().export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning("traces cannot be sent to %s, and are dropped until they can", self._place)
        elif self._failing and not failing:
            log.info("traces are sent again")
        self._failing = self.once.told = failing
        self._gave_up = failing and self.leaving
        return result
