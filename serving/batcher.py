"""`Batcher`: texts of many callers share forward passes, and nobody waits for a batch to fill.

The event loop puts encoded texts into a queue; one thread a model takes what waits whenever the engine is idle. What is
left of a request whose caller has gone is never computed, and a text that the engine fails on fails alone. When nobody
holds a batcher any more, neither a table nor a request, its thread ends and the model is freed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from pydantic import BaseModel

from serving import traces
from serving.metrics import EngineFigures
from serving.refusals import BrokenError, OverloadedError
from sluice.inference.predictor import Predictor
from sluice.tasks.encoding import Encoded

log = logging.getLogger("bentoml.sluice")
SLACK = 1.1
"""Tokens that are computed over tokens that are read: the rest of a batch is padding."""


@dataclass(eq=False)
class _Job:
    """The texts of one request."""

    future: asyncio.Future[list[Any]]
    outputs: list[Any]
    left: int
    """Texts that are still to be computed."""
    answered: Callable[[int], None]
    """Called with the number of texts that nobody waits for any more."""
    since: float = field(default_factory=time.perf_counter)
    begun: float = 0.0
    """When the engine began with the first of its texts."""


@dataclass(eq=False)
class _Item:
    """One text of a request."""

    job: _Job
    at: int
    encoded: Encoded
    options: BaseModel
    output: Any = None

    @property
    def size(self) -> int:
        return len(self.encoded.ids)


class Batcher:
    """Forward passes for all requests to one model."""

    def __init__(self, model: str, predictor: Predictor, largest: int, max_waiting: int) -> None:
        self.largest = min(largest, predictor.together)
        self.max_waiting = max_waiting
        self.waiting = 0
        """Texts that have been taken in and not been answered. Only the event loop changes it."""
        self._queue: SimpleQueue[list[_Item] | None] = SimpleQueue()
        worker = _Worker(predictor, self.largest, self._queue, EngineFigures(model))
        self._thread = threading.Thread(target=worker.work, name="engine", daemon=True)
        self._thread.start()
        weakref.finalize(self, self._queue.put, None)

    async def compute(self, encoded: Sequence[Encoded], options: BaseModel) -> list[Any]:
        """What the task reads of the model's outputs, one a text. Raises OverloadedError, at once, and BrokenError."""
        if self.waiting and self.waiting + len(encoded) > self.max_waiting + self.largest:
            raise OverloadedError
        job = _Job(asyncio.get_running_loop().create_future(), [None] * len(encoded), len(encoded), self._answered)
        self.waiting += len(encoded)
        self._queue.put([_Item(job, at, one, options) for at, one in enumerate(encoded)])
        outputs = await job.future
        traces.part("queue", job.since, job.begun)
        traces.part("engine", job.begun, texts=len(encoded))
        return outputs

    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def _answered(self, texts: int) -> None:
        self.waiting -= texts


class _Worker:
    """The thread's side, which does not hold its batcher."""

    def __init__(
        self, predictor: Predictor, largest: int, queue: SimpleQueue[list[_Item] | None], figures: EngineFigures
    ) -> None:
        self.predictor, self.largest, self.figures = predictor, largest, figures
        self._queue, self._ended = queue, False

    def work(self) -> None:
        """Compute until the end stands in the queue."""
        waiting: list[_Item] = []
        while waiting or not self._ended:
            self._collect(waiting)
            if batch := self._take(waiting):
                self._answer(batch)
            batch = []  # whom it belongs to may be the last to hold the batcher

    def _collect(self, waiting: list[_Item]) -> None:
        """Add what has arrived; where nothing waits, wait for it."""
        try:
            arrived = self._queue.get(block=not waiting)
            while True:
                if arrived is None:
                    self._ended = True
                else:
                    waiting += arrived
                arrived = self._queue.get_nowait()
        except Empty:
            pass

    def _take(self, waiting: list[_Item]) -> list[_Item]:
        """The oldest text that somebody still waits for, and those of like length that may share its pass."""
        gone = [item for item in waiting if item.job.future.done()]
        if gone:
            waiting[:] = [item for item in waiting if not item.job.future.done()]
            self._tell(gone, None)
        if not waiting:
            return []
        first = waiting[0]
        if self.largest == 1 or len(waiting) == 1:
            return [waiting.pop(0)]
        steered = self.predictor.task.writes
        alike = [one for one in waiting if not steered or one.options == first.options]
        alike.sort(key=lambda one: (abs(one.size - first.size), one is not first))
        batch = [first]
        for one in alike[1:]:
            widest = max(item.size for item in (*batch, one))
            read = sum(item.size for item in batch) + one.size
            if len(batch) == self.largest or widest * (len(batch) + 1) > SLACK * read:
                break
            batch.append(one)
        taken = set(map(id, batch))
        waiting[:] = [item for item in waiting if id(item) not in taken]
        return batch

    def _answer(self, batch: list[_Item]) -> None:
        begun = time.perf_counter()
        for item in batch:
            item.job.begun = item.job.begun or begun
        try:
            outputs = self.predictor.compute([item.encoded for item in batch], batch[0].options)
            _refuse_no_numbers(outputs)
        except Exception as error:
            if len(batch) > 1:  # one of them is to blame, the others are not
                for item in batch:
                    self._answer([item])
                return
            # The message may hold the caller's text: the log gets the places alone.
            log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            self._tell(batch, BrokenError())
            return
        for item, output in zip(batch, outputs, strict=True):
            item.output = output
        self._tell(batch, None)
        self.figures.note(len(batch), time.perf_counter() - begun, [begun - item.job.since for item in batch])

    @staticmethod
    def _tell(batch: list[_Item], error: Exception | None) -> None:
        batch[0].job.future.get_loop().call_soon_threadsafe(_deliver, batch, error)


def _refuse_no_numbers(outputs: Sequence[Any]) -> None:
    """Raise ArithmeticError where a model has come to NaN or to infinity: no answer can be read of that."""
    if any(isinstance(one, np.ndarray) and one.dtype.kind == "f" and not np.isfinite(one).all() for one in outputs):
        raise ArithmeticError("the model's outputs are not finite")


def _deliver(batch: list[_Item], error: Exception | None) -> None:
    for item in batch:
        job = item.job
        job.answered(1)
        if job.future.done():
            continue
        if error:
            job.future.set_exception(error)
            continue
        job.outputs[item.at] = item.output
        job.left -= 1
        if not job.left:
            job.future.set_result(job.outputs)
