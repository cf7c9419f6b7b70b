"""Traces of a share of the requests: where their time went, sent to an OpenTelemetry collector. Never what was asked.

Off, they cost a comparison. A trace that a caller has begun (`traceparent`) goes on here, sampled or not as he says.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from sluice.errors import UserError
from sluice.inference.settings import Traces

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

UNASKED = frozenset({"/metrics", "/livez", "/readyz", "/healthz"})
"""What machines ask every few seconds: nobody looks for its traces."""
_provider: TracerProvider | None = None


def start(settings: Traces) -> None:
    """Trace in this process from now on, unless no share of the requests is wanted."""
    global _provider
    if not settings.share:
        return
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise UserError("serve.traces.share: traces are sent by an extra: pip install 'sluice[traces]'") from error
    sampler = ParentBased(TraceIdRatioBased(settings.share))
    resource = Resource.create({SERVICE_NAME: "sluice"})
    _provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(settings.url)))


def end() -> None:
    """Send what has not been sent, as far as anybody takes it."""
    global _provider
    if _provider:
        _provider.shutdown()
        _provider = None


@contextmanager
def request(name: str, headers: Mapping[str, str]) -> Iterator[None]:
    """A request from its first to its last moment, as part of the trace that its headers name."""
    if _provider is None:
        yield
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    within = TraceContextTextMapPropagator().extract(headers)
    tracer = _provider.get_tracer(__name__)
    # An exception's message may hold the caller's text.
    with tracer.start_as_current_span(
        name, within, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
    ):
        yield


def describe(request: str, model: str, route: str, status: str, failed: bool) -> str | None:
    """Say of the request under way what is known at its end; its trace's id, None where it is not traced."""
    if _provider is None:
        return None
    from opentelemetry.trace import StatusCode, format_trace_id, get_current_span

    span = get_current_span()
    if not span.is_recording():
        return None
    span.update_name(route)
    span.set_attributes({"sluice.request": request, "sluice.model": model, "sluice.status": status})
    if failed:
        span.set_status(StatusCode.ERROR)
    return format_trace_id(span.get_span_context().trace_id)


def part(name: str, begun: float, ended: float | None = None, **told: int) -> None:
    """A part of the request under way that is over: when it began and ended, in seconds of `time.perf_counter`."""
    if _provider is None:
        return
    from opentelemetry.trace import get_current_span

    if get_current_span().is_recording():
        ended = time.perf_counter() if ended is None else ended
        span = _provider.get_tracer(__name__).start_span(name, start_time=_unix_ns(begun), attributes=told)
        span.end(_unix_ns(ended))


def _unix_ns(moment: float) -> int:
    return time.time_ns() - round(1e9 * (time.perf_counter() - moment))


class Traced:
    """Begins the trace of every HTTP request that somebody makes, or goes on with his."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within its trace."""
        if scope["type"] != "http" or scope["path"] in UNASKED:
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with request(scope["method"], headers):
            await self.app(scope, receive, send)
