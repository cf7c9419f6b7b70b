"""`POST /v1/chat/completions` and `POST /v1/completions`: the same writing in two shapes."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response, StreamingResponse

from serving.codecs.openai.requests import ChatRequest, CompletionRequest, Writing
from serving.codecs.openai.shapes import ChatShape, CompletionShape, Shape, headers_of
from serving.core import Core, Request, Stream
from serving.errors import error_body
from serving.refusals import RefusalError, TooLargeError
from serving.slot import Slot
from serving.streams import Piece
from sluice.tasks.generation import GenerationOptions

Pieces = AsyncGenerator[tuple[int, Piece], None]
"""Parts of several answers, each with the number of its answer."""


def add_chat(routes: APIRouter, core: Core) -> None:
    """The route of chat models."""

    @routes.post("/v1/chat/completions", name="chat completions")
    async def chat(body: ChatRequest) -> Response:
        """The assistant's next message."""
        slot = core.table.asked("chat", body.model)
        return await _respond(core, slot, ChatShape(), [body.text], body, body.logprobs)


def add_completions(routes: APIRouter, core: Core) -> None:
    """The route of language models."""

    @routes.post("/v1/completions", name="completions")
    async def completions(body: CompletionRequest) -> Response:
        """What follows each prompt."""
        slot = core.table.asked("generate", body.model)
        return await _respond(core, slot, CompletionShape(), body.prompt, body, body.logprobs is not None)


async def _respond(
    core: Core, slot: Slot, shape: Shape, texts: Sequence[str], body: Writing, logprobs: bool
) -> Response:
    """All answers to all texts, numbered through; a stream begins once the first of them has.

    Until then, and where all is sent at once until the end, the champion spares callers a canary that fails.
    """
    answers, most = len(texts) * body.n, core.settings.max_texts
    if answers > most:
        raise TooLargeError(f"{answers} answers are asked for; at most {most} fit in a request")
    choices = [body.options(choice) for choice in range(body.n)]  # a caller's mistake in them is no canary's
    return await core.spared(slot, lambda one: _written(core, one, shape, texts, body, choices, logprobs))


async def _written(
    core: Core,
    slot: Slot,
    shape: Shape,
    texts: Sequence[str],
    body: Writing,
    choices: Sequence[GenerationOptions],
    logprobs: bool,
) -> Response:
    head = {"id": f"{shape.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": slot.description.id}
    stack = AsyncExitStack()
    try:
        streams = [
            await core.stream(slot, Request(slot.texts.task.verb, [text], options), logprobs)
            for text in texts
            for options in choices
        ]
        headers = headers_of(slot.description.id, [at for at, one in enumerate(streams[:: body.n]) if one.truncated])
        prompt_tokens = sum(stream.tokens for stream in streams[:: body.n])
        pieces = await stack.enter_async_context(aclosing(_merged(streams)))
        if not body.stream:
            return await _whole(shape, head, headers, pieces, len(streams), prompt_tokens, logprobs)
        first = await anext(pieces)
    except BaseException:
        await stack.aclose()
        raise
    usage = prompt_tokens if body.usage_asked else None
    events = _events(stack, shape, head, first, pieces, usage, logprobs)
    return StreamingResponse(events, media_type="text/event-stream", headers={**headers, "Cache-Control": "no-store"})


async def _whole(
    shape: Shape,
    head: dict[str, Any],
    headers: dict[str, str],
    pieces: Pieces,
    count: int,
    prompt_tokens: int,
    logprobs: bool,
) -> Response:
    found: list[list[Piece]] = [[] for _ in range(count)]
    async for at, piece in pieces:
        found[at].append(piece)
    written = sum(len(piece.tokens) for own in found for piece in own)
    content = {
        **head,
        "object": shape.whole,
        "choices": [shape.choice(at, own, logprobs) for at, own in enumerate(found)],
        "usage": _usage(prompt_tokens, written),
    }
    return JSONResponse(content, headers=headers)


async def _events(
    stack: AsyncExitStack,
    shape: Shape,
    head: dict[str, Any],
    first: tuple[int, Piece],
    pieces: Pieces,
    prompt_tokens: int | None,
    logprobs: bool,
) -> AsyncGenerator[str, None]:
    """Server-sent events. An error after the first piece is an event, too: the status has been sent."""
    head = {**head, "object": shape.chunk}
    written, begun = 0, set[int]()
    async with stack:
        try:
            async for at, piece in _from(first, pieces):
                written += len(piece.tokens)
                yield _event({**head, "choices": [shape.delta(at, piece, at not in begun, logprobs)]})
                begun.add(at)
            if prompt_tokens is not None:
                yield _event({**head, "choices": [], "usage": _usage(prompt_tokens, written)})
        except RefusalError as error:
            yield _event(error_body("/v1/chat/", error.type, error.message, error.param))
        yield "data: [DONE]\n\n"


async def _from(first: tuple[int, Piece], rest: Pieces) -> Pieces:
    yield first
    async for one in rest:
        yield one


async def _merged(streams: Sequence[Stream]) -> Pieces:
    """The pieces of all streams with their numbers, as they come; all are closed when this is."""
    if len(streams) == 1:
        async with aclosing(streams[0].pieces) as pieces:
            async for piece in pieces:
                yield 0, piece
        return
    arrived: asyncio.Queue[tuple[int, Piece] | None] = asyncio.Queue()

    async def read(at: int, stream: Stream) -> None:
        async with aclosing(stream.pieces) as pieces:
            async for piece in pieces:
                arrived.put_nowait((at, piece))

    tasks = [asyncio.create_task(read(at, stream)) for at, stream in enumerate(streams)]
    everything = asyncio.gather(*tasks)
    everything.add_done_callback(lambda _: arrived.put_nowait(None))
    try:
        while (one := await arrived.get()) is not None:
            yield one
        await everything
    finally:
        everything.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _usage(prompt: int, written: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n"
