"""The Open Inference Protocol, version 2, over REST: what KServe's and Triton's clients speak."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.codecs import tensors
from serving.codecs.inference_body import LENGTH, InferRequest
from serving.core import Core
from serving.slot import Slot

KINDS = ("", "application/json", "application/octet-stream")
"""Content types that are read: clients of this protocol name one of them or none, browsers' forms others."""


class InferenceError(BaseModel):
    """The body of every answer under `/v2` that is not a success."""

    error: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": InferenceError} for status in (400, 404, 413, 415, 422, 429, 500, 504)
}


class InferRoute(APIRoute):
    """Reads the endpoint's `body` straight from the bytes, as `JsonRoute` does, with raw tensors behind the JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        endpoint = self.endpoint
        if "body" not in endpoint.__annotations__:
            return super().get_route_handler()

        async def handle(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in KINDS:
                raise HTTPException(415, f"send the body as {' or '.join(KINDS[1:])}")
            if request.headers.get("content-encoding", "identity") != "identity":
                raise HTTPException(415, "compressed bodies are not read: send it without Content-Encoding")
            body = InferRequest.read(await request.body(), request.headers.get(LENGTH))
            return await endpoint(body=body, **request.path_params)

        return handle


def router(core: Core) -> APIRouter:
    """The routes of this protocol."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol"], responses=REFUSALS, route_class=InferRoute)

    @routes.get("", name="server")
    async def server() -> Response:
        """What this server is."""
        return JSONResponse(tensors.SERVER)

    @routes.get("/health/live", name="live")
    async def live() -> Response:
        """Whether the service works."""
        return _health(core.alive(), "live")

    @routes.get("/health/ready", name="ready")
    async def ready() -> Response:
        """Whether every model answers."""
        return _health(core.alive(), "ready")

    async def metadata(slot: Slot) -> Response:
        """The model's versions, inputs and outputs."""
        return JSONResponse(await tensors.metadata(core, slot))

    async def model_ready(slot: Slot) -> Response:
        """Whether the model answers."""
        return _health(slot.runner.alive(), "ready", name=slot.description.name)

    _add_look_up(routes, core, "", metadata)
    _add_look_up(routes, core, "/ready", model_ready)
    _add_infer(routes, core)
    return routes


def _health(alive: bool, word: str, **more: str) -> Response:
    return JSONResponse({**more, word: alive}, 200 if alive else 503)


def _add_look_up(routes: APIRouter, core: Core, tail: str, look: Callable[[Slot], Awaitable[Response]]) -> None:
    """What can be looked up of a model, with and without a version."""

    async def model(name: str) -> Response:
        return await look(core.table.named(name))

    async def version(name: str, version: str) -> Response:
        return await look(core.table.named(name, version))

    name = look.__name__.replace("_", " ")
    routes.add_api_route(f"/models/{{name}}{tail}", model, name=name, description=look.__doc__)
    path = f"/models/{{name}}/versions/{{version}}{tail}"
    routes.add_api_route(path, version, name=f"{name} by version", description=look.__doc__)


def _add_infer(routes: APIRouter, core: Core) -> None:
    """The routes that answer, with and without a version."""

    async def infer(slot: Slot, body: InferRequest) -> Response:
        wanted = [one.name for one in body.outputs]
        answer, found = await tensors.infer(core, slot, body.texts(), body.parameters, wanted)
        return body.answered(answer, found)

    @routes.post("/models/{name}/infer", name="infer")
    async def of_model(name: str, body: InferRequest) -> Response:
        """The results as tensors, one a field, with one element a text."""
        return await infer(core.table.named(name), body)

    @routes.post("/models/{name}/versions/{version}/infer", name="infer by version")
    async def of_version(name: str, version: str, body: InferRequest) -> Response:
        """The same from one version."""
        return await infer(core.table.named(name, version), body)
