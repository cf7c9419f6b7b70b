"""The HTTP application: the codecs, the pages and what guards them, put together."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp

from serving import pages
from serving.codecs import inference, native, openai
from serving.core import Core
from serving.errors import add_handlers
from serving.metrics import exposition
from serving.middleware import guarded


def build(core: Core) -> ASGIApp:
    """The application that answers from a table of models, guarded."""
    ids = ", ".join(slot.description.id for slot in core.table.slots)
    app = FastAPI(title=f"Sluice: {ids}", version="1", docs_url=None, redoc_url=None)
    add_handlers(app)
    for codec in (native, openai, inference):
        app.include_router(codec.router(core))
    app.include_router(pages.router(core.table))
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    return guarded(app, core.settings)


async def _metrics() -> Response:
    return Response(await run_in_threadpool(exposition), media_type="text/plain; version=0.0.4")
