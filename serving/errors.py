"""Every error over HTTP has one shape: `{"error": {"type", "message", "param"}}`."""

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

from serving.core import (
    ModelNotFoundError,
    NoIndexError,
    OverloadedError,
    RefusalError,
    TooLargeError,
    UnreadableError,
)

STATUS: dict[type[RefusalError], int] = {
    ModelNotFoundError: 404,
    NoIndexError: 404,
    TooLargeError: 413,
    UnreadableError: 422,
    OverloadedError: 429,
}
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
    status: int, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An error whose type follows from its status."""
    return _render(status, TYPES.get(status, "invalid_request"), message, param, headers)


def _render(
    status: int, kind: str, message: str, param: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    # json.dumps escapes what is not ASCII: a lone surrogate in a caller's words cannot be written as UTF-8.
    body = json.dumps({"error": {"type": kind, "message": message, "param": param}})
    return Response(body, status, headers, media_type="application/json")


def add_handlers(app: FastAPI) -> None:
    """Give every exception that a route may raise the one shape."""
    app.add_exception_handler(RefusalError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    headers = {"Retry-After": "1"} if isinstance(error, OverloadedError) else None
    return _render(STATUS[type(error)], error.type, error.message, error.param, headers)


def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail or HTTPStatus(error.status_code).phrase
    return error_response(error.status_code, message, headers=error.headers)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(400, f"the body is not JSON: {first['ctx']['error']} at {first['loc'][-1]}")
    param = ".".join(str(step) for step in first["loc"][1:]) or None
    return error_response(422, first["msg"].removeprefix("Value error, "), param)
