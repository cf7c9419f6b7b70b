"""`Caller`: what tells the caller of the request under way from others, in whatever protocol he asks."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope


@dataclass(frozen=True)
class Caller:
    """Who asks. Nothing is read before it is needed."""

    header: Callable[[str], str | None]
    """A header of the request by its name in small letters."""
    connection: Callable[[], str]

    @property
    def name(self) -> str:
        """What he calls himself, `X-Caller`, or proves himself by, `Authorization`; empty for who does neither."""
        return self.header("x-caller") or self.header("authorization") or ""

    @property
    def identity(self) -> str:
        """The same, or else his connection."""
        return self.name or self.connection()

    @property
    def wants_new(self) -> bool:
        """Whether he will have nothing that was computed before, as HTTP's `Cache-Control` says it."""
        wanted = self.header("cache-control") or ""
        return "no-cache" in wanted or "no-store" in wanted


def http_caller(scope: Scope) -> Caller:
    """Who asks over HTTP."""
    return Caller(Headers(scope=scope).get, lambda: ":".join(map(str, scope.get("client") or ())))


NOBODY = Caller(lambda name: None, str)
CALLER: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
"""Who asks for what is being answered."""
