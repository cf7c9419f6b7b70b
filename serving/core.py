"""`Core`: requests in, answers out, in the terms of the task. Every protocol is a codec around it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel

from serving.metrics import TEXTS
from serving.slot import Slot, SlotDescription
from sluice.inference.settings import Serve


class RefusalError(Exception):
    """Why a request gets no answer, in the caller's words."""

    type: ClassVar[str]

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        """The field of the request that is at fault."""


class ModelNotFoundError(RefusalError):
    """The request names a model that is not served here."""

    type = "model_not_found"


class TooLargeError(RefusalError):
    """The request is beyond a limit."""

    type = "too_large"


class OverloadedError(RefusalError):
    """Too many requests wait already."""

    type = "overloaded"


@dataclass(frozen=True)
class Request:
    """What a codec asks: one text or more; `options` is the task's `Options`."""

    texts: Sequence[str]
    options: BaseModel | None = None
    model: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a codec gives back: `results` are the task's `Result`, in the order of the texts."""

    slot: SlotDescription
    results: list[BaseModel]
    tokens: int


class Core:
    """Answers requests from one slot, one prediction at a time, off the event loop."""

    def __init__(self, slot: Slot, settings: Serve) -> None:
        self.slot = slot
        self.settings = settings
        self._thread = ThreadPoolExecutor(1, "predict")
        self._places = threading.BoundedSemaphore(1 + settings.max_waiting)

    async def answer(self, request: Request) -> Answer:
        """Predict, or raise a `RefusalError`. Cancelled while it waits, a request is never computed."""
        slot = self.slot
        self._check(request, slot)
        if not self._places.acquire(blocking=False):
            raise OverloadedError("too many requests are waiting; try again in a moment")
        future = self._thread.submit(slot.predictor.predict, request.texts, request.options)
        future.add_done_callback(lambda _: self._places.release())
        prediction = await asyncio.wrap_future(future)
        TEXTS.labels(slot.description.id).inc(len(request.texts))
        return Answer(slot.description, prediction.results, prediction.tokens)

    def _check(self, request: Request, slot: Slot) -> None:
        if request.model is not None and not slot.description.answers_to(request.model):
            raise ModelNotFoundError(f"this service has {slot.description.id}, not '{request.model}'", "model")
        if len(request.texts) > self.settings.max_texts:
            raise TooLargeError(
                f"{len(request.texts)} texts; at most {self.settings.max_texts} fit in a request", "input"
            )
        longest = max(map(len, request.texts))
        if longest > self.settings.max_characters:
            raise TooLargeError(
                f"a text has {longest} characters; at most {self.settings.max_characters} are read", "input"
            )
