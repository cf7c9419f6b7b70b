"""The BentoML service: `bentoml serve serving.service:Sluice`.

BentoML brings processes, probes and packaging. Its own metrics are off: they label by raw path, so that any
caller could grow them without end. `/metrics` is ours.
"""

from __future__ import annotations

import logging
import os

import bentoml
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import process, resolve

log = logging.getLogger("bentoml.sluice")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

with process.plain_errors():
    settings = resolve.settings()


class Front:
    """Takes every request that no probe takes: BentoML mounts it before a worker has loaded its model."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the application."""
        await self.app(scope, receive, send)


front = Front()


@bentoml.asgi_app(front)
@bentoml.service(
    workers=settings.workers,
    http={"host": settings.host, "port": settings.port},
    metrics={"enabled": False},
    # Ours comes first and answers in our shape.
    traffic={"timeout": settings.timeout_s + settings.grace_s},
)
class Sluice:
    """Serves the promoted model."""

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Settle what to serve, once, before any worker starts."""
        with process.plain_errors():
            process.refuse_taken_port(settings)
            resolve.hand_over()

    def __init__(self) -> None:
        from serving.app import build
        from serving.slot import Slot, SlotDescription

        slot = Slot.load(SlotDescription.read(resolve.slot_path()), settings.engine)
        front.app = build(slot, settings)
        log.info("serving %s, bundle %s", slot.description.id, slot.description.digest[:12])

    @bentoml.on_startup
    def bound_drain(self) -> None:
        """Give requests in flight the configured time when the service is told to stop."""
        process.end_within(settings.grace_s)
