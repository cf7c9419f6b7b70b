"""`JsonRoute`: a route that takes one JSON body."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response


class JsonRoute(APIRoute):
    """Reads the endpoint's `body` straight from the bytes.

    FastAPI's own way, through dependencies and a Python object of the JSON, takes several times as long. It still
    writes the documentation. Endpoints without a `body` are FastAPI's.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        endpoint = self.endpoint
        if "body" not in endpoint.__annotations__:
            return super().get_route_handler()
        adapter: TypeAdapter[Any] = TypeAdapter(get_type_hints(endpoint, include_extras=True)["body"])

        async def handle(request: Request) -> Response:
            _require_json(request)
            try:
                body = adapter.validate_json(await request.body())
            except ValidationError as error:
                told = error.errors(include_url=False, include_input=False)
                raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in told]) from None
            return await endpoint(body)

        return handle


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, "send the body as JSON, with the header Content-Type: application/json")
