"""Two versions of one model at once: a canary that answers some of the callers, a shadow that answers none."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from serving.callers import CALLER
from serving.metrics import compared, dropped
from serving.slot import Slot
from sluice.tasks.encoding import Encoded

log = logging.getLogger("bentoml.sluice")
WAITING = 64
"""Requests that wait to be answered by the other version, too; beyond them, they are dropped."""


def chosen(main: Slot, canary: Slot, share: float) -> Slot:
    """Which of both answers the request under way: always the same for one caller."""
    marked = f"{canary.description.id}\0{CALLER.get().identity}".encode()
    place = int.from_bytes(hashlib.blake2b(marked, digest_size=8).digest()) / 2**64
    return canary if place < share else main


@dataclass(frozen=True)
class _Pair:
    """A request that one version has answered and the other is to answer as well."""

    texts: Sequence[str]
    options: BaseModel
    outputs: list[Any]
    """Of the version that answered."""
    answered: Slot
    other: Slot


class Mirror:
    """Lets the other version answer the same texts, too, and counts how often it answers otherwise.

    The caller has his answer by then. What there is no time for is dropped.
    """

    def __init__(self, compute: Callable[[Slot, list[Encoded], BaseModel], Awaitable[list[Any]]]) -> None:
        self._compute = compute
        self._pairs: asyncio.Queue[_Pair] = asyncio.Queue(WAITING)
        self._work: asyncio.Task[None] | None = None

    def offer(self, answered: Slot, other: Slot, texts: Sequence[str], options: BaseModel, outputs: list[Any]) -> None:
        """Compare, unless too much waits for it already."""
        if self._work is None or self._work.done():
            # Of no request: the first would otherwise have all that is compared in its trace.
            self._work = asyncio.create_task(self._go_on(), context=Context())
        try:
            self._pairs.put_nowait(_Pair(texts, options, outputs, answered, other))
        except asyncio.QueueFull:
            dropped(_newer(answered, other).description.id, len(texts))

    async def _go_on(self) -> None:
        while True:
            # A name for the pair would hold both models until the next one comes.
            await self._compare(await self._pairs.get())

    async def _compare(self, pair: _Pair) -> None:
        newer = _newer(pair.answered, pair.other).description.id
        try:
            theirs = await self._compute(pair.other, pair.other.texts.encode(pair.texts), pair.options)
            if not pair.answered.texts.task.comparable:
                return
            unlike = _unlike(pair, theirs)
        except Exception as error:  # has been counted where it was computed; the caller has his answer
            log.warning("%s could not be compared: %s", newer, type(error).__name__)
            return
        compared(newer, len(pair.texts), unlike)


def _newer(one: Slot, other: Slot) -> Slot:
    """That of both which flies beside the champion."""
    return one if one.description.flies else other


def _unlike(pair: _Pair, theirs: list[Any]) -> float:
    ours, task = pair.answered.texts, pair.answered.texts.task
    labels, others = ours.bundle.labels, pair.other.texts.bundle.labels
    if labels == others:
        return task.unlike(pair.outputs, theirs, labels)
    both = zip(task.predictions(pair.outputs, labels), task.predictions(theirs, others), strict=True)
    return sum(one != other for one, other in both)
