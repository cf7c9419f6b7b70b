"""`Door`: which requests are BentoML's, and which are ours."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from serving import probes
from serving.middleware import guarded
from sluice.inference.settings import Serve


class Front:
    """Our application, once there is one; other models may bring another one while it works.

    BentoML takes the name of it before a worker has loaded its models.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to the application."""
        await self.app(scope, receive, send)


class Door:
    """BentoML's probes, its schema and its own routes go the way of its middleware, all else straight to ours.

    Tracing, access log and context of that middleware cost 0.25 ms of CPU a request, and none of ours uses them.
    """

    def __init__(self, ours: ASGIApp, bentos: ASGIApp, paths: frozenset[str]) -> None:
        self.ours, self.bentos, self.paths = ours, bentos, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to whose it is."""
        mine = scope["type"] == "http" and scope["path"] not in self.paths
        await (self.ours if mine else self.bentos)(scope, receive, send)


class Porter:
    """The innermost of BentoML's middleware: as the service starts, it sets the door in front of all of it."""

    def __init__(self, app: ASGIApp, ours: ASGIApp, settings: Serve) -> None:
        self.app, self.ours, self.settings = app, ours, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set up the door with the lifespan's first message; pass everything on."""
        if scope["type"] == "lifespan":
            bento: Any = scope["app"]
            paths = frozenset(path for route in bento.routes if (path := getattr(route, "path", "")) not in ("", "/"))
            paths -= {probes.READY}
            ours, bentos = guarded(self.ours, self.settings), guarded(bento.middleware_stack, self.settings, paths)
            bento.middleware_stack = Door(ours, bentos, paths)
        await self.app(scope, receive, send)
