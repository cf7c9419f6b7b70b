"""Why a request gets no answer: what the core raises and every codec puts into its protocol's words."""

from __future__ import annotations

from typing import ClassVar


class RefusalError(Exception):
    """Why a request gets no answer, in the caller's words."""

    type: ClassVar[str]
    status: ClassVar[int]
    """What HTTP calls it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The field of the request that is at fault."""


class ModelNotFoundError(RefusalError):
    """The request names a model that is not served here."""

    type, status = "model_not_found", 404


class UnreadableError(RefusalError):
    """A text, or what is asked beside it, is not what the task takes."""

    type, status = "invalid_request", 422


class TooLargeError(RefusalError):
    """The request is beyond a limit."""

    type, status = "too_large", 413


class NoIndexError(RefusalError):
    """A search where nothing has been made searchable."""

    type, status = "no_index", 404


class OverloadedError(RefusalError):
    """Too many texts wait already."""

    type, status = "overloaded", 429

    def __init__(self) -> None:
        super().__init__("too many texts are waiting; try again in a moment")


class LateError(RefusalError):
    """The answer was not there in time."""

    type, status = "timeout", 504

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"no answer within {timeout_s:g} s")


class BrokenError(RefusalError):
    """The engine failed; nothing that the caller could mend."""

    type, status = "internal_error", 500

    def __init__(self) -> None:
        super().__init__("the service failed; its log says where")
