"""Every error over HTTP: one shape of our own, and those of the protocols that have another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from serving.refusals import OverloadedError, RefusalError

OPENAI = ("/v1/chat/", "/v1/completions", "/v1/embeddings")
INFERENCE = ("/v2",)
TYPES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    500: "internal_error",
    504: "timeout",
}


class ErrorDetail(BaseModel):
    """What went wrong."""

    type: str = Field(description="A fixed name for this kind of error.")
    message: str
    param: str | None = Field(description="The field of the request that is at fault.")


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


def error_response(
    path: str, status: int, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An error whose type follows from its status."""
    return _render(path, status, TYPES.get(status, "invalid_request"), message, param, headers)


def refusal_response(path: str, refusal: RefusalError) -> Response:
    """What the core refuses."""
    headers = {"Retry-After": "1"} if isinstance(refusal, OverloadedError) else None
    return _render(path, refusal.status, refusal.type, refusal.message, refusal.param, headers)


def error_body(path: str, kind: str, message: str, param: str | None) -> dict[str, Any]:
    """An error in the shape of the protocol that the path belongs to."""
    if path.startswith(INFERENCE):
        return {"error": message}
    detail = {"type": kind, "message": message, "param": param}
    return {"error": {**detail, "code": kind} if path.startswith(OPENAI) else detail}


def _render(
    path: str, status: int, kind: str, message: str, param: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    # json.dumps escapes what is not ASCII: a lone surrogate in a caller's words cannot be written as UTF-8.
    body = json.dumps(error_body(path, kind, message, param))
    return Response(body, status, headers, media_type="application/json")


def add_handlers(app: FastAPI) -> None:
    """Give every exception that a route may raise its shape."""
    app.add_exception_handler(RefusalError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unhandled)


def refused(request: Request, error: Exception) -> Response:
    """What the core refuses."""
    assert isinstance(error, RefusalError)
    return refusal_response(request.url.path, error)


def unhandled(request: Request, error: Exception) -> Response:
    """What HTTP has a status for."""
    assert isinstance(error, HTTPException)
    message = error.detail or HTTPStatus(error.status_code).phrase
    return error_response(request.url.path, error.status_code, message, headers=error.headers)


def invalid(request: Request, error: Exception) -> Response:
    """A body that is not what the route takes."""
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(request.url.path, 400, f"the body is not JSON: {first['ctx']['error']}")
    param = ".".join(str(step) for step in first["loc"][1:]) or None
    status = 400 if request.url.path.startswith(OPENAI) else 422
    return error_response(request.url.path, status, first["msg"].removeprefix("Value error, "), param)
