"""The HTTP application: the codecs, the pages and what guards them, put together."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from serving import pages
from serving.codecs import native
from serving.core import Core
from serving.errors import add_handlers
from serving.metrics import Metrics, exposition
from serving.middleware import BodyLimit, Guard, SafeHeaders
from serving.slot import Slot
from sluice.inference.settings import Serve


def build(slot: Slot, settings: Serve) -> FastAPI:
    """The application that answers from a loaded slot."""
    app = FastAPI(
        title=f"Sluice: {slot.description.id}",
        version=str(slot.description.version),
        docs_url=None,
        redoc_url=None,
    )
    add_handlers(app)
    app.include_router(native.router(Core(slot, settings)))
    app.include_router(pages.router(slot, native.route(slot)))
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(Guard, timeout_s=settings.timeout_s)
    app.add_middleware(SafeHeaders)
    app.add_middleware(Metrics, model=slot.description.id)
    return app


async def _metrics() -> Response:
    return Response(await run_in_threadpool(exposition), media_type="text/plain; version=0.0.4")
