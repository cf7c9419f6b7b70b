"""`Cache`: what a version has answered before is not computed again. Answers are exact repeats, or there is none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from serving.callers import CALLER
from serving.metrics import cached
from serving.slot import Slot

LONGEST = 4_000
"""Characters of a text whose answer is kept: longer ones hardly come again, and take more room."""


@dataclass(frozen=True)
class Known:
    """What a version says to a text."""

    result: Any
    tokens: int
    """That were read of it."""
    cut: bool
    """Whether it has more."""


class Cache:
    """Holds so many answers of this process; the one that was used least recently makes room.

    A caller who names himself gets only what he has asked himself: how fast an answer comes would otherwise tell what
    others have asked.
    """

    def __init__(self, entries: int) -> None:
        self.entries = entries
        self._known: OrderedDict[Hashable, Known] = OrderedDict()

    def look(self, slot: Slot, texts: Sequence[str], options: BaseModel) -> list[Known | None]:
        """What is known of each text."""
        if not self.entries or CALLER.get().wants_new:
            return [None] * len(texts)
        group = self._group(slot, options)
        found = [self._known.get((group, text)) for text in texts]
        for text, one in zip(texts, found, strict=True):
            if one:
                self._known.move_to_end((group, text))
        hits = sum(one is not None for one in found)
        cached(slot.description.id, hits, len(texts) - hits)
        return found

    def keep(self, slot: Slot, texts: Sequence[str], options: BaseModel, answers: Sequence[Known]) -> None:
        """Remember answers."""
        caller = CALLER.get()
        if not self.entries or "no-store" in (caller.header("cache-control") or ""):
            return
        group = self._group(slot, options)
        for text, answer in zip(texts, answers, strict=True):
            if len(text) <= LONGEST:
                self._known[group, text] = answer
        while len(self._known) > self.entries:
            self._known.popitem(last=False)

    def forget(self) -> None:
        """Drop everything: other versions are served."""
        self._known.clear()

    @staticmethod
    def _group(slot: Slot, options: BaseModel) -> Hashable:
        """All that an answer depends on beside the text, and who may have it."""
        return slot.description.id, slot.description.digest, options.model_dump_json(), CALLER.get().name
