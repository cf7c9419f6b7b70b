"""`Streams`: texts that a writer writes for many callers at once, handed on piece by piece.

When nobody holds it any more, neither a table nor a request, its writer ends and the model is freed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
import weakref
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from serving import traces
from serving.metrics import EngineFigures, tokens
from serving.refusals import BrokenError, OverloadedError
from sluice.inference.engine import Step, Writer
from sluice.inference.predictor import Texts
from sluice.tasks.encoding import Encoded
from sluice.tasks.generation import Generation
from sluice.tasks.written import Written

log = logging.getLogger("bentoml.sluice")


@dataclass(frozen=True)
class Token:
    """A token that was written, with the logarithm of its probability where that was asked for."""

    text: str
    logprob: float | None


@dataclass(frozen=True)
class Piece:
    """The next part of a text."""

    text: str
    tokens: tuple[Token, ...] = ()
    finished: bool | None = None
    """Of the last piece: whether the text came to its end by itself, rather than by its length. None before."""


class Streams:
    """The writer's side of a slot: what `Batcher` is to other engines."""

    def __init__(self, model: str, texts: Texts, writer: Writer, max_waiting: int, needed: bool = True) -> None:
        assert isinstance(texts.task, Generation)
        self.texts, self.task, self.writer = texts, texts.task, writer
        self.max_waiting = max_waiting
        self.needed = needed
        """Whether its worker is of no use without it."""
        self._model, self._figures = model, EngineFigures(model)
        self.waiting = 0
        """Texts that are being written or wait for it."""
        weakref.finalize(self, writer.end)

    async def compute(self, encoded: Sequence[Encoded], options: BaseModel) -> list[Any]:
        """What the task reads of the model's outputs, one a text. Raises OverloadedError, at once, and BrokenError."""
        tasks = [asyncio.create_task(self._whole(one, options)) for one in encoded]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _whole(self, encoded: Encoded, options: BaseModel) -> Written:
        async with aclosing(self.write(encoded, options)) as pieces:
            found = [piece async for piece in pieces]
        text = "".join(piece.text for piece in found)
        return Written(text, bool(found[-1].finished), encoded.cut)

    async def write(self, encoded: Encoded, options: BaseModel, logprobs: bool = False) -> AsyncGenerator[Piece, None]:
        """The text as it comes to be. Closed early, the writer stops writing it.

        Raises OverloadedError before the first piece, BrokenError where the engine fails.
        """
        if self.waiting > self.max_waiting:
            raise OverloadedError
        self.waiting += 1
        steps: asyncio.Queue[Step] = asyncio.Queue()
        begun, first, written = time.perf_counter(), None, 0
        stop = self.writer.start(encoded.ids, self.task.wish(options, logprobs), steps.put_nowait)
        ended = False
        try:
            spelling = _Spelling(self.texts.tokenizer, getattr(options, "stop", []))
            while not ended:
                step = await steps.get()
                if step.error is not None:
                    self._failed()
                    raise BrokenError
                first = first or time.perf_counter()
                written += step.token is not None
                piece = spelling.read(step)
                ended = step.ended
                if piece.finished is not None or piece.text or piece.tokens:
                    yield piece
                if piece.finished is not None:
                    return
        finally:
            self.waiting -= 1
            tokens(self._model, "written", written)
            if first:
                self._figures.note(1, time.perf_counter() - first, [first - begun])
                traces.part("queue", begun, first)
                traces.part("engine", first, tokens=written)
            if not ended:
                stop()

    def alive(self) -> bool:
        """Whether the writer still works."""
        return self.writer.alive()

    def _failed(self) -> None:
        """One text alone, or the writer as a whole: then this worker ends, and is started again.

        Not for the sake of a canary or shadow: it fails until it is stopped.
        """
        log.error("the writer of %s failed", self._model)
        if self.needed and not self.alive():
            os.kill(os.getpid(), signal.SIGTERM)


class _Spelling:
    """Tokens become text: no half characters, no white space at either end, nothing from a stop on."""

    def __init__(self, tokenizer: Any, stops: Sequence[str]) -> None:
        from tokenizers.decoders import DecodeStream

        self._decoder = DecodeStream(skip_special_tokens=True)
        self._tokenizer = tokenizer.backend_tokenizer
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        """Text that may turn out to be the beginning of a stop, or the white space at the end."""
        self._unread: list[int] = []
        """Tokens that are no whole character yet."""
        self._begun = False

    def read(self, step: Step) -> Piece:
        """What can be handed on after a step."""
        tokens: tuple[Token, ...] = ()
        if step.token is not None:
            text = self._text(step.token)
            self._held += text
            tokens = (Token(text, step.logprob),)
        if step.ended and self._unread:
            self._held += self._tokenizer.decode(self._unread)
        if not self._begun:
            self._held = self._held.lstrip()
            self._begun = bool(self._held)
        places = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if places:
            return Piece(self._held[: min(places)].rstrip(), tokens, finished=True)
        if step.ended:
            return Piece(self._held.rstrip(), tokens, finished=step.stopped)
        ready = len(self._held) - self._doubtful()
        piece, self._held = self._held[:ready], self._held[ready:]
        return Piece(piece, tokens)

    def _text(self, token: int) -> str:
        text = self._decoder.step(self._tokenizer, token)
        self._unread = [] if text else [*self._unread, token]
        return text or ""

    def _doubtful(self) -> int:
        """How many characters at the end may yet become a stop, or be the white space at the end of the text."""
        white = len(self._held) - len(self._held.rstrip())
        begun = [
            size
            for stop in self._stops
            for size in range(min(len(stop) - 1, len(self._held)), 0, -1)
            if self._held.endswith(stop[:size])
        ]
        longest = max(begun, default=0)
        before = self._held[: len(self._held) - longest]
        return max(white, longest + len(before) - len(before.rstrip()))
