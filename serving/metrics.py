"""Prometheus figures, summed over the worker processes."""

from __future__ import annotations

import os
import time

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
RUNNING = Gauge("sluice_requests_in_progress", "Requests being answered.", multiprocess_mode="livesum")


class Metrics:
    """Counts and times every request by its route's template, so that a caller cannot invent label values."""

    def __init__(self, app: ASGIApp, model: str) -> None:
        self.app = app
        self.model = model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note its status and duration."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with RUNNING.track_inprogress():
                await self.app(scope, receive, note)
        finally:
            # Where no route of ours matched, what stands here is BentoML's mount, whose path is empty.
            route = getattr(scope.get("route"), "path", "") or "other"
            REQUESTS.labels(self.model, route, status).inc()
            SECONDS.labels(self.model, route).observe(time.perf_counter() - start)


def exposition() -> bytes:
    """The text that Prometheus scrapes; with several workers, the sum over all of them."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
