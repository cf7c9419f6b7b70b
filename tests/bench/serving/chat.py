"""Answers token by token, to one caller and to eight at once, beside `transformers serve`: `--only chat`.

Both speak OpenAI's `/v1/chat/completions` and stream: the same decoder, the same prompts, greedy, answers of one
length.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sluice.errors import UserError
from tests.bench.serving.entries import service
from tests.bench.serving.figures import Figures
from tests.bench.serving.server import START_S, Server, Way
from tests.serving.live import command

OURS = ("serve.workers=1", "serve/engine=continuous")
"""Overrides of the configuration for our service: one process writes for all callers."""
DTYPES = ("float32", "bfloat16")
"""Precisions that both are tried in; whichever is faster on the processor is measured."""
STREAMS = (1, 8)
TOKENS = 64
"""An answer's length."""
PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Answer:
    """How one answer came."""

    first_s: float
    tokens: int


class Talker(Server):
    """A server that chats."""

    def __init__(self, way: Way, home: Path, prompts: Sequence[str]) -> None:
        super().__init__(way, home)
        self._prompts = prompts
        try:
            self.measure(1, 1, 0)
        except BaseException:
            self.stop()
            raise

    def measure(self, clients: int, seconds: int, start: int) -> Figures:
        """Ask from so many callers, each one prompt after the other; those under way at the end are waited for."""
        own, before, begun = time.process_time(), self.cpu_seconds(), time.perf_counter()
        answers = asyncio.run(self._callers(clients, begun + seconds, start))
        return Figures(
            count=sum(one.tokens for one in answers),
            seconds=time.perf_counter() - begun,
            cpu_s=self.cpu_seconds() - before,
            pss_bytes=self.pss_bytes(),
            p50_ms=1000 * statistics.median(one.first_s for one in answers),
            p99_ms=1000 * max(one.first_s for one in answers),
            load_cpu_s=time.process_time() - own,
        )

    async def _callers(self, clients: int, until: float, start: int) -> list[Answer]:
        async with httpx.AsyncClient(base_url=self.url, timeout=START_S) as client:
            calls = [self._caller(client, until, start + number) for number in range(clients)]
            return [answer for answers in await asyncio.gather(*calls) for answer in answers]

    async def _caller(self, client: httpx.AsyncClient, until: float, start: int) -> list[Answer]:
        answers: list[Answer] = []
        while not answers or time.perf_counter() < until:
            prompt = self._prompts[(start + len(answers) * 31) % len(self._prompts)]
            answers.append(await self._ask(client, prompt))
        return answers

    async def _ask(self, client: httpx.AsyncClient, prompt: str) -> Answer:
        begun, first, tokens = time.perf_counter(), None, 0
        async with client.stream("POST", self.way.path, json=self.way.body(prompt)) as answer:
            if answer.status_code != 200:
                raise UserError(f"{answer.url} answers {answer.status_code}: {(await answer.aread()).decode()[:500]}")
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                chunk = json.loads(line.removeprefix("data: "))
                if first is None and any(choice["delta"].get("content") for choice in chunk["choices"]):
                    first = time.perf_counter() - begun
                tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
        if first is None or not tokens:
            raise UserError(f"{answer.url}: an answer without text, or that does not say how many tokens it has")
        return Answer(first, tokens)


def ours(bundle: Path, home: Path, prompts: Sequence[str]) -> Iterator[Talker]:
    """`bentoml serve` as users run it."""
    for dtype in DTYPES:
        own = home / dtype
        given = service(bundle, own, (*OURS, f"serve.engine.dtype={dtype}"))
        yield Talker(Way(f"1 worker, {dtype}", command, PATH, "/readyz", _body("bench"), str, given), own, prompts)


def transformers_serve(bundle: Path, home: Path, prompts: Sequence[str]) -> Iterator[Talker]:
    """As it is by default, one answer after the other; and with continuous batching, its cache held small.

    By default that cache takes what memory there is, and half a minute of each first answer.
    """
    batching = ("--continuous-batching", "--cb-block-size=32", "--cb-num-blocks=64", "--cb-max-batch-tokens=256")
    for dtype in DTYPES:
        for name, options in (("one by one", ()), ("continuous batching", batching)):
            way = _transformers(f"{name}, {dtype}", bundle, f"--dtype={dtype}", *options)
            yield Talker(way, home / f"{dtype}-{len(options)}", prompts)


def _transformers(settings: str, bundle: Path, *options: str) -> Way:
    program = str(Path(sys.executable).with_name("transformers"))
    fixed = ["serve", str(bundle), "--host=127.0.0.1", "--device=cpu", *options]
    return Way(settings, lambda port: [program, *fixed, f"--port={port}"], PATH, "/health", _body(str(bundle)), str)


def _body(model: str) -> Any:
    def body(prompt: str) -> Any:
        return {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    return body
