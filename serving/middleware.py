"""What holds for every HTTP request: a deadline, a bounded body, safe headers, no text in the log."""

from __future__ import annotations

import asyncio
import logging
import traceback

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import error_response, refusal_response
from serving.metrics import Metrics
from serving.refusals import BrokenError, LateError
from sluice.inference.settings import Serve

log = logging.getLogger("bentoml.sluice")
PATIENCE_S = 0.1
"""From when on it is looked whether a caller is still there."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class SafeHeaders:
    """Tells browsers to run and embed nothing but what this service itself serves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and add the headers to its answer."""

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *RAW]
            await send(message)

        await self.app(scope, receive, add)


class Guard:
    """Answers in time or says so, computes nothing for a caller who has left, and keeps texts out of the log.

    An exception never reaches a log with its message, which may hold what the caller sent.
    """

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self.app = app
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under a deadline that ends with the first byte of the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller, begun = _Caller(receive), False

        async def watch(message: Message) -> None:
            nonlocal begun
            if not begun:
                deadline.reschedule(None)
                caller.forget()
                begun = True
            await send(message)

        try:
            async with asyncio.timeout(self.timeout_s) as deadline:
                await self.app(scope, caller.receive, watch)
        except asyncio.CancelledError:
            if not caller.left:
                raise
        except Exception as error:
            if not deadline.expired():
                log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if begun:
                raise RuntimeError("the answer broke off") from None
            refusal = LateError(self.timeout_s) if deadline.expired() else BrokenError()
            await refusal_response(scope["path"], refusal)(scope, receive, send)
        finally:
            caller.forget()


class _Caller:
    """Notices that the caller has left, and cancels the request; short ones are over before it begins to look."""

    def __init__(self, receive: Receive) -> None:
        self.left = False
        self._receive, self._heard = receive, False
        self._request = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(PATIENCE_S, self._begin)
        self._looking: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        self._heard = not message.get("more_body", False)
        return message

    def forget(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._looking:
            self._looking.cancel()

    def _begin(self) -> None:
        if self._heard:
            self._looking = self._loop.create_task(self._look())
        else:  # what comes next is still the request
            self._timer = self._loop.call_later(PATIENCE_S, self._begin)

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        if self._request:
            self._request.cancel()


class BodyLimit:
    """Refuses a body beyond the limit, by its announced length or by what has arrived so far."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body, then pass the request on with it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        body = None if int(announced) > self.max_bytes else await self._read(receive)
        if body is None:
            # What is left of the body is not read, so the connection cannot carry another request.
            message = f"the body is longer than {self.max_bytes} bytes"
            response = error_response(scope["path"], 413, message, headers={"Connection": "close"})
            await response(scope, receive, send)
            return
        pending = [body]

        async def replay() -> Message:
            if pending:
                return {"type": "http.request", "body": pending.pop(), "more_body": False}
            return await receive()

        await self.app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while len(body) <= self.max_bytes:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                return bytes(body) if len(body) <= self.max_bytes else None
        return None


def guarded(app: ASGIApp, settings: Serve) -> ASGIApp:
    """An application with all of the above around it."""
    return Metrics(SafeHeaders(Guard(BodyLimit(app, settings.max_body_bytes), settings.timeout_s)))
