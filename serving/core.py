"""`Core`: requests in, answers out, in the terms of the task. Every protocol is a codec around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from serving import traces
from serving.cache import Cache, Known
from serving.metrics import answering, failed, predicted, tokenizing, tokens, waiting
from serving.refusals import (
    BrokenError,
    NoIndexError,
    OverloadedError,
    RefusalError,
    TooLargeError,
    UnreadableError,
)
from serving.rivals import Mirror
from serving.slot import Slot, SlotDescription
from serving.streams import Piece, Streams, Token
from serving.table import Table
from sluice.flight import CANARY, CHAMPION, SHADOW
from sluice.inference.settings import Serve
from sluice.search.answers import AskOptions, answered, prompt_from
from sluice.search.searcher import Found, Hit
from sluice.tasks.encoding import Encoded

T = TypeVar("T")
SHORT = 20_000
"""Characters that are tokenized on the event loop, in some milliseconds; more go to another thread."""


@dataclass(frozen=True)
class Request:
    """What a codec asks: one text or more; `options` is the task's `Options`."""

    verb: str
    texts: Sequence[str]
    options: BaseModel | None = None
    model: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a codec gives back: `results` are the task's `Result`, in the order of the texts."""

    slot: SlotDescription
    task: str
    results: list[Any]
    tokens: int
    """That were read of the texts."""
    truncated: list[int] = field(default_factory=list)
    """The texts that were longer than what was read of them, by their places."""
    repeated: bool = False
    """Whether all of it had been answered before."""


@dataclass(frozen=True)
class Stream:
    """A text that is being written."""

    slot: SlotDescription
    tokens: int
    """Of the prompt."""
    truncated: bool
    pieces: AsyncGenerator[Piece, None]


class Core:
    """Answers requests from a table of models."""

    def __init__(self, table: Table, settings: Serve, state: Path | None = None) -> None:
        self.table = table
        """What is served just now: replaced as a whole, never changed."""
        self.failures: dict[str, str] = {}
        """Versions that should be served and cannot be, and why."""
        self.settings = settings
        self.state = state
        """Where the follower of the registry says how it fares, if there is one."""
        self.cache = Cache(settings.cache_answers)
        self._mirror = Mirror(self._compute)

    async def answer(self, request: Request) -> Answer:
        """The task's results, or a `RefusalError`. Cancelled while it waits, a request is never computed."""
        return await self.answer_from(self.table.asked(request.verb, request.model), request)

    async def answer_from(self, slot: Slot, request: Request) -> Answer:
        """The same from a slot that the codec has found."""
        return await self.spared(slot, lambda one: self._answer(one, request))

    async def spared(self, slot: Slot, work: Callable[[Slot], Awaitable[T]]) -> T:
        """What a slot answers; its champion, where a canary fails, has a full queue, or needs half of the time.

        A model that writes gets all of the time: half an answer would only have been waited for.
        """
        champion = self.table.beside(slot, CHAMPION) if slot.description.alias == CANARY else None
        if champion is None:
            return await work(slot)
        try:
            async with asyncio.timeout(None if slot.texts.task.writes else self.settings.timeout_s / 2):
                return await work(slot)
        except Exception as error:
            its_own = not isinstance(error, RefusalError) or isinstance(error, BrokenError | OverloadedError)
            if not its_own:
                raise
            # Counted already where it was computed; a full queue is its callers' doing as well, who wait too long then.
            if not isinstance(error, BrokenError | OverloadedError):
                failed(slot.description.id)
        return await work(champion)

    async def _answer(self, slot: Slot, request: Request) -> Answer:
        self._refuse(slot, request.texts)
        options = request.options or slot.texts.task.Options()
        known = self.cache.look(slot, request.texts, options)
        places = [at for at, one in enumerate(known) if one is None]
        if places:
            new = await self._new(slot, [request.texts[at] for at in places], options, places)
            for at, one in zip(places, new, strict=True):
                known[at] = one
        return _told(slot, [one for one in known if one], repeated=not places)

    async def _new(self, slot: Slot, texts: Sequence[str], options: BaseModel, places: Sequence[int]) -> list[Known]:
        """Answers that are computed, and kept."""
        encoded = await self._encode(slot, texts, places)
        outputs = await self._compute(slot, encoded, options)
        results = slot.texts.decode(texts, outputs, options)
        other = self.table.beside(slot, CHAMPION if slot.description.alias == CANARY else SHADOW)
        if other and (slot.texts.task.comparable or other.description.alias == SHADOW):
            self._mirror.offer(slot, other, texts, options, outputs)
        known = [Known(result, len(one.ids), one.cut) for result, one in zip(results, encoded, strict=True)]
        self.cache.keep(slot, texts, options, known)
        return known

    async def _compute(self, slot: Slot, encoded: list[Encoded], options: BaseModel) -> list[Any]:
        with waiting(slot.description.id, len(encoded)), answering(slot.description.id, self.settings.timeout_s):
            return await slot.runner.compute(encoded, options)

    async def search(self, request: Request, k: int) -> Answer:
        """The `k` best documents for each text."""
        slot = self.table.asked("search", request.model)
        return await self.spared(slot, lambda one: self._search(one, request, k))

    async def ask(self, request: Request, options: AskOptions) -> Answer:
        """An answer to each text from the documents of an index, by a model that writes."""
        finds = self.table.asked("search", options.search)
        writes = self.table.writing(request.model)
        _, hits = await self.spared(finds, lambda one: self._hits(one, request, options.passages))
        prompts = [prompt_from(text, own, options.passage_words) for text, own in zip(request.texts, hits, strict=True)]
        written = await self.answer_from(writes, replace(request, texts=[prompt.text for prompt in prompts]))
        results = [
            answered(one.text, own, prompt.shown)
            for one, own, prompt in zip(written.results, hits, prompts, strict=True)
        ]
        return replace(written, task="ask", results=results)

    async def stream(self, slot: Slot, request: Request, logprobs: bool = False) -> Stream:
        """One text as it is written; all at once where the slot's engine only runs whole batches.

        The caller closes `pieces`, and keeps the time.
        """
        self._refuse(slot, request.texts)
        (encoded,) = await self._encode(slot, request.texts)
        options = request.options or slot.texts.task.Options()
        predicted(slot.description.id, 1)
        pieces = (
            slot.runner.write(encoded, options, logprobs)
            if isinstance(slot.runner, Streams)
            else _at_once(slot, request, encoded, options)
        )
        pieces = _waited_for(slot, pieces, self.settings.timeout_s)
        return Stream(slot.description, len(encoded.ids), encoded.cut, pieces)

    def alive(self) -> bool:
        """Whether every model still answers that the service cannot do without."""
        return all(slot.runner.alive() for slot in self.table.slots if not slot.description.flies)

    async def _search(self, slot: Slot, request: Request, k: int) -> Answer:
        encoded, hits = await self._hits(slot, request, k)
        found = zip(encoded, hits, strict=True)
        return _told(slot, [Known(Found(hits=own), len(one.ids), one.cut) for one, own in found])

    async def _hits(self, slot: Slot, request: Request, k: int) -> tuple[list[Encoded], list[list[Hit]]]:
        if slot.searcher is None:
            raise NoIndexError(
                f"{slot.description.id} has no index to search in. Make one, then start the service again: "
                f'make index ARGS="name={slot.description.name} version={slot.description.version}"'
            )
        self._refuse(slot, request.texts)
        encoded = await self._encode(slot, request.texts)
        vectors = await self._compute(slot, encoded, slot.texts.task.Options())
        begun = time.perf_counter()
        hits = await asyncio.to_thread(slot.searcher.near, np.stack(vectors).astype(np.float32), k)
        traces.part("search", begun)
        return encoded, hits

    def _refuse(self, slot: Slot, texts: Sequence[str]) -> None:
        """Raise what keeps texts from being answered: too many, too long, not what the task takes."""
        settings = self.settings
        if len(texts) > settings.max_texts:
            raise TooLargeError(f"{len(texts)} texts; at most {settings.max_texts} fit in a request", "input")
        longest = max(map(len, texts))
        if longest > settings.max_characters:
            raise TooLargeError(f"a text has {longest} characters; at most {settings.max_characters} are read", "input")
        for text in texts:
            if told := slot.texts.task.refusal(text):
                raise UnreadableError(told, "input")

    async def _encode(self, slot: Slot, texts: Sequence[str], places: Sequence[int] | None = None) -> list[Encoded]:
        """The texts as the model reads them; `places` are theirs in the request, unless they are all of it."""
        with tokenizing(slot.description.id):
            encoded = (
                slot.texts.encode(texts)
                if sum(map(len, texts)) <= SHORT
                else await asyncio.to_thread(slot.texts.encode, texts)
            )
        tokens(slot.description.id, "read", sum(len(one.ids) for one in encoded))
        if self.settings.too_long == "refuse" and (cut := [at for at, one in enumerate(encoded) if one.cut]):
            at = places[cut[0]] if places else cut[0]
            raise UnreadableError(
                f"text {at + 1} has more tokens than {slot.description.id} reads: "
                f"{slot.texts.task.max_length}, special ones included",
                "input",
            )
        return encoded


def _told(slot: Slot, known: Sequence[Known], repeated: bool = False) -> Answer:
    predicted(slot.description.id, len(known))
    results, tokens = [one.result for one in known], sum(one.tokens for one in known)
    cut = [at for at, one in enumerate(known) if one.cut]
    return Answer(slot.description, slot.texts.task.name, results, tokens, cut, repeated)


async def _waited_for(slot: Slot, pieces: AsyncGenerator[Piece, None], timeout_s: float) -> AsyncGenerator[Piece, None]:
    model = slot.description.id
    with waiting(model, 1):
        async with aclosing(pieces):
            with answering(model, timeout_s):  # the deadline ends with the first piece
                first = await anext(pieces)
            yield first
            try:
                async for piece in pieces:
                    yield piece
            except BrokenError:
                failed(model)
                raise


async def _at_once(slot: Slot, request: Request, encoded: Encoded, options: BaseModel) -> AsyncGenerator[Piece, None]:
    outputs = await slot.runner.compute([encoded], options)
    result: Any = slot.texts.decode(request.texts, outputs, options)[0]
    text, finished = result.text, result.finished
    ids = slot.texts.tokenizer(text, add_special_tokens=False)["input_ids"]
    yield Piece(text, tuple(Token(slot.texts.tokenizer.decode(one), None) for one in ids), finished)
