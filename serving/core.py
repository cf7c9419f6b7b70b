"""`Core`: requests in, answers out, in the terms of the task. Every protocol is a codec around it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel

from serving.metrics import TEXTS
from serving.slot import Slot, SlotDescription
from sluice.inference.predictor import Prediction
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


class UnreadableError(RefusalError):
    """A text is not what the task takes."""

    type = "invalid_request"


class TooLargeError(RefusalError):
    """The request is beyond a limit."""

    type = "too_large"


class NoIndexError(RefusalError):
    """A search where nothing has been made searchable."""

    type = "no_index"


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
        return await self._run(request, self.slot.predictor.predict, request.options)

    async def search(self, request: Request, k: int) -> Answer:
        """The `k` best documents for each text, under the same limits."""
        if self.slot.searcher is None:
            raise NoIndexError(
                f"{self.slot.description.id} has no index to search in. Make one, then start the service again: "
                f'make index ARGS="name={self.slot.description.name} version={self.slot.description.version}"'
            )
        return await self._run(request, self.slot.search, k)

    async def _run(self, request: Request, work: Callable[..., Prediction], option: Any) -> Answer:
        slot = self.slot
        self._check(request, slot)
        if not self._places.acquire(blocking=False):
            raise OverloadedError("too many requests are waiting; try again in a moment")
        future = self._thread.submit(work, request.texts, option)
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
        task = slot.predictor.task
        if told := next(filter(None, map(task.refusal, request.texts)), None):
            raise UnreadableError(told, "input")
