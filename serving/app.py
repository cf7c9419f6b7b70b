"""The HTTP application: the codecs, the pages and what guards them, put together."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp

from serving import pages, probes
from serving.codecs import inference, native, openai
from serving.core import Core
from serving.errors import add_handlers
from serving.metrics import exposition
from serving.routes import Direct


def build(core: Core) -> ASGIApp:
    """The application that answers from a core's table of models, with a route for each thing that these can do."""
    app = FastAPI(title="Sluice", version="1", docs_url=None, redoc_url=None)
    add_handlers(app)
    routers = [codec.router(core) for codec in (native, openai, inference)]
    for router in (*routers, probes.router(core), pages.router(core)):
        app.include_router(router)
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    routes = [route for router in routers for route in router.routes]
    return Direct(app, routes)


async def _metrics() -> Response:
    return Response(await run_in_threadpool(exposition), media_type="text/plain; version=0.0.4")
