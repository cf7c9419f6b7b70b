"""Prometheus figures, summed over the worker processes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("sluice_requests", "Requests answered.", ["model", "route", "status"])
SECONDS = Histogram(
    "sluice_request_seconds",
    "Seconds from the request's head to the last byte of its answer.",
    ["model", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
TEXTS = Counter("sluice_texts", "Texts predicted.", ["model"])
WAITING = Gauge(
    "sluice_texts_in_progress", "Texts that wait or are being computed.", ["model"], multiprocess_mode="livesum"
)
VERSION = b"x-model-version"
"""The header in which answers say which model they are of."""


class Metrics:
    """Counts and times every request by its route's template, so that a caller cannot invent label values."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note its status and duration."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status, model = 500, ""

        async def note(message: Message) -> None:
            nonlocal status, model
            if message["type"] == "http.response.start":
                status = message["status"]
                model = next((value.decode() for name, value in message["headers"] if name == VERSION), "")
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            _count(model, getattr(scope.get("route"), "path", "other"), str(status), time.perf_counter() - start)


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


@dataclass
class Counted:
    """How a call ended."""

    model: str = ""
    status: str = "CANCELLED"


@contextmanager
def counted(route: str) -> Iterator[Counted]:
    """Count and time a call that does not come over HTTP."""
    start, counts = time.perf_counter(), Counted()
    try:
        yield counts
    finally:
        _count(counts.model, route, counts.status, time.perf_counter() - start)


def _count(model: str, route: str, status: str, seconds: float) -> None:
    requests, durations = _figures(model, route, status)
    requests.inc()
    durations.observe(seconds)


@cache
def _figures(model: str, route: str, status: str) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(model, route, status), SECONDS.labels(model, route)


def exposition() -> bytes:
    """The text that Prometheus scrapes; with several workers, the sum over all of them."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
