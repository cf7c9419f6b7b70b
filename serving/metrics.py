"""Prometheus figures, summed over the worker processes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import ADDED_UP, logs, traces
from serving.refusals import BrokenError

REQUESTS = Counter("sluice_requests", "Requests answered.", ["model", "protocol", "route", "status"])
SECONDS = Histogram(
    "sluice_request_seconds",
    "Seconds from the request's head to the last byte of its answer.",
    ["model", "protocol", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
TEXTS = Counter("sluice_texts", "Texts predicted.", ["model"])
WAITING = Gauge(
    "sluice_texts_in_progress", "Texts that wait or are being computed.", ["model"], multiprocess_mode="livesum"
)
SWAPS = Counter(
    "sluice_versions", "Versions that were to be served while others were: served, or failed.", ["model", "outcome"]
)
ANSWERS = Counter("sluice_answers", "Requests that a version computed, or failed to.", ["model", "outcome"])
STAGES = Histogram(
    "sluice_stage_seconds",
    "Seconds of a text in the queue, of a request in the tokenizer, of a batch in the engine.",
    ["model", "stage"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
BATCHES = Histogram("sluice_batch_texts", "Texts in a batch.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64))
PASSES = Counter("sluice_passes", "Batches by the number of their texts.", ["model", "texts"])
PASS_SECONDS = Counter("sluice_pass_seconds", "Seconds of the engine for them.", ["model", "texts"])
TOKENS = Counter("sluice_tokens", "Tokens read, and tokens written.", ["model", "kind"])
COMPARED = Counter("sluice_compared_texts", "Texts that a canary or shadow and its champion both answered.", ["model"])
DISAGREED = Counter("sluice_disagreed_texts", "Those that were answered otherwise, or by how much.", ["model"])
DROPPED = Counter("sluice_dropped_texts", "Texts that were not compared: too many waited for it.", ["model"])
CACHED = Counter("sluice_cached_answers", "Texts whose answer was known, or was not.", ["model", "outcome"])
LATE = 0.9
"""Share of a request's time after which an end that comes from outside is its deadline, and no caller who leaves."""
LEFT = 499
"""Status of a request whose caller left before there was an answer."""
PROTOCOLS = {
    "grpc:": "oip-grpc",
    "/v2": "oip",
    "/v1/chat/": "openai",
    "/v1/completions": "openai",
    "/v1/embeddings": "openai",
    "/v1/": "native",
    "bentoml:": "bentoml",
}
"""Which protocol a route is of, by its beginning; the first that fits."""
REQUEST_ID = b"x-request-id"
VERSION = b"x-model-version"
"""The header in which answers say which model they are of."""


class Metrics:
    """Counts, times and logs every request by its route's template, so that a caller cannot invent label values.

    Each has a name, `X-Request-Id`, which the caller may give and the answer tells.
    """

    def __init__(self, app: ASGIApp, bentos: Collection[str] = ()) -> None:
        self.app = app
        self.bentos = bentos
        """Paths that are BentoML's, which does not say which route it took."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note its status and duration."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status, model = LEFT, ""
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == REQUEST_ID), None)
        request = logs.request_id(given)

        async def note(message: Message) -> None:
            nonlocal status, model
            if message["type"] == "http.response.start":
                status = message["status"]
                model = next((value.decode() for name, value in message["headers"] if name == VERSION), "")
                message["headers"] = [*message["headers"], (REQUEST_ID, request.encode())]
            await send(message)

        try:
            await self.app(scope, receive, note)
        except Exception:
            status = status if status != LEFT else 500
            raise
        finally:
            bentos = scope["path"] in self.bentos
            route = f"bentoml:{scope['path']}" if bentos else getattr(scope.get("route"), "path", "other")
            _count(request, model, route, str(status), time.perf_counter() - start)


@contextmanager
def waiting(model: str, texts: int) -> Iterator[None]:
    """Count texts as long as somebody waits for them."""
    gauge = _waiting(model)
    gauge.inc(texts)
    try:
        yield
    finally:
        gauge.dec(texts)


@cache
def _waiting(model: str) -> Gauge:
    return WAITING.labels(model)


@cache
def _texts(model: str) -> Counter:
    return TEXTS.labels(model)


def predicted(model: str, texts: int) -> None:
    """Count texts that have been answered."""
    _texts(model).inc(texts)


@contextmanager
def answering(model: str, timeout_s: float) -> Iterator[None]:
    """Count what a version computes, or fails to in the time that there is.

    Who leaves before is not counted, and who is turned away.
    """
    begun = time.perf_counter()
    try:
        yield
    except BrokenError:
        failed(model)
        raise
    except asyncio.CancelledError:
        if time.perf_counter() - begun > LATE * timeout_s:
            failed(model)
        raise
    _answers(model, "answered").inc()


def failed(model: str) -> None:
    """Count a request that came to nothing by a version's fault."""
    _answers(model, "failed").inc()


@cache
def _answers(model: str, outcome: str) -> Counter:
    return ANSWERS.labels(model, outcome)


class EngineFigures:
    """What is noted of a version's batches. Its parts are kept: looking them up takes longer than noting."""

    def __init__(self, model: str) -> None:
        self._queue, self._engine = STAGES.labels(model, "queue"), STAGES.labels(model, "engine")
        self._batches = BATCHES.labels(model)
        self._model = model
        self._passes: dict[int, tuple[Counter, Counter]] = {}

    def note(self, texts: int, engine_s: float, queue_s: Iterable[float]) -> None:
        """A batch: its texts, the seconds that it took, and those that each of them waited before."""
        self._batches.observe(texts)
        self._engine.observe(engine_s)
        if texts not in self._passes:
            self._passes[texts] = PASSES.labels(self._model, texts), PASS_SECONDS.labels(self._model, texts)
        count, seconds_of = self._passes[texts]
        count.inc()
        seconds_of.inc(engine_s)
        for seconds in queue_s:
            self._queue.observe(seconds)


def tokens(model: str, kind: str, count: int) -> None:
    """Count tokens that were `read` or `written`."""
    _tokens(model, kind).inc(count)


@cache
def _tokens(model: str, kind: str) -> Counter:
    return TOKENS.labels(model, kind)


@contextmanager
def tokenizing(model: str) -> Iterator[None]:
    """Time the tokenizer."""
    start = time.perf_counter()
    yield
    _tokenizing(model).observe(time.perf_counter() - start)
    traces.part("tokenize", start)


@cache
def _tokenizing(model: str) -> Histogram:
    return STAGES.labels(model, "tokenize")


def compared(model: str, texts: int, disagreed: float) -> None:
    """Count texts that a canary or shadow answered beside its champion."""
    COMPARED.labels(model).inc(texts)
    DISAGREED.labels(model).inc(max(0.0, disagreed))


def dropped(model: str, texts: int) -> None:
    """Count texts that should have been."""
    DROPPED.labels(model).inc(texts)


def cached(model: str, hits: int, misses: int) -> None:
    """Count texts whose answer was known, and texts whose answer was not."""
    for outcome, texts in (("hit", hits), ("miss", misses)):
        if texts:
            _cached(model, outcome).inc(texts)


@cache
def _cached(model: str, outcome: str) -> Counter:
    return CACHED.labels(model, outcome)


def swapped(model: str, outcome: str) -> None:
    """Count a version that came while others were served."""
    SWAPS.labels(model, outcome).inc()


@dataclass
class Counted:
    """How a call ended."""

    model: str = ""
    status: str = "CANCELLED"


@contextmanager
def counted(route: str, request: str | None) -> Iterator[Counted]:
    """Count, time and log a call that does not come over HTTP."""
    start, counts = time.perf_counter(), Counted()
    try:
        yield counts
    finally:
        _count(logs.request_id(request), counts.model, route, counts.status, time.perf_counter() - start)


def _count(request: str, model: str, route: str, status: str, seconds: float) -> None:
    requests, durations = _figures(model, route, status)
    requests.inc()
    durations.observe(seconds)
    failed = logs.failed(status)
    trace = traces.describe(request, model, route, status, failed)
    logs.note(request, route, status, model, seconds, failed, trace)


@cache
def _figures(model: str, route: str, status: str) -> tuple[Counter, Histogram]:
    protocol = next((name for beginning, name in PROTOCOLS.items() if route.startswith(beginning)), "other")
    return REQUESTS.labels(model, protocol, route, status), SECONDS.labels(model, protocol, route)


def exposition() -> bytes:
    """The text that Prometheus scrapes; with several workers, the sum over all of them."""
    if ADDED_UP not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
