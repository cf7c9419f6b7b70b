"""What holds for every HTTP request: a deadline, a bounded body, safe headers, no text in the log."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.callers import CALLER, http_caller
from serving.errors import error_response, refusal_response
from serving.metrics import Metrics
from serving.refusals import BrokenError, LateError
from serving.traces import Traced
from sluice.inference.settings import Serve

log = logging.getLogger("bentoml.sluice")
PATIENCE_S = 0.1
"""How often it is looked whether a request is late, or its caller gone."""
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

    An exception never reaches a log with its message, which may hold what the caller sent. All requests are looked
    after together, ten times a second: timers for each of them would cost more than all else in here.
    """

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self.app = app
        self.timeout_s = timeout_s
        self._callers: set[_Caller] = set()
        self._round: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under a deadline that ends with the first byte of the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._go_round())
        CALLER.set(http_caller(scope))
        caller = _Caller(receive, self.timeout_s)
        self._callers.add(caller)

        async def watch(message: Message) -> None:
            if not caller.answered:
                self._callers.discard(caller)
                caller.forget()
                caller.answered = True
            await send(message)

        try:
            await self.app(scope, caller.receive, watch)
        except asyncio.CancelledError:
            if not caller.cancelled:
                raise
            caller.request.uncancel()
            if not caller.left:
                await refusal_response(scope["path"], LateError(self.timeout_s))(scope, receive, send)
        except Exception as error:
            log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if caller.answered:
                raise RuntimeError("the answer broke off") from None
            await refusal_response(scope["path"], BrokenError())(scope, receive, send)
        finally:
            self._callers.discard(caller)
            caller.forget()

    async def _go_round(self) -> None:
        while True:
            await asyncio.sleep(PATIENCE_S)
            for caller in list(self._callers):
                caller.look_after()


class _Caller:
    """Who waits for an answer: until when, and whether still there."""

    def __init__(self, receive: Receive, timeout_s: float) -> None:
        task = asyncio.current_task()
        assert task
        self.request = task
        self.answered = self.left = self.cancelled = False
        self._receive, self._heard = receive, False
        self._until = time.monotonic() + timeout_s
        self._looking: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        self._heard = not message.get("more_body", False)
        return message

    def look_after(self) -> None:
        """End a request that is late; begin to look whether the caller leaves, once all of it is here."""
        if time.monotonic() > self._until:
            self._cancel()
        elif self._heard and self._looking is None:
            self._looking = asyncio.create_task(self._look())

    def forget(self) -> None:
        """Look no more."""
        if self._looking:
            self._looking.cancel()

    async def _look(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left = True
        self._cancel()

    def _cancel(self) -> None:
        if not self.cancelled:
            self.cancelled = True
            self.request.cancel()


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


def guarded(app: ASGIApp, settings: Serve, bentos: Collection[str] = ()) -> ASGIApp:
    """An application with all of the above around it; `bentos` are paths of BentoML's that it has."""
    measured = Metrics(SafeHeaders(Guard(BodyLimit(app, settings.max_body_bytes), settings.timeout_s)), bentos)
    return Traced(measured) if settings.traces.share else measured
