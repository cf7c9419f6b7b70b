"""A canary beside the champion, in figures: what stops it. Pure: figures in, reasons out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from pydantic import Field

from sluice.part import Part

CHAMPION: Literal["champion"] = "champion"
CANARY: Literal["canary"] = "canary"
SHADOW: Literal["shadow"] = "shadow"
"""Aliases of the registry: a version that has one of the latter flies beside its model's champion."""


class Canary(Part):
    """How much a canary gets to answer, and what stops it."""

    share: float = Field(0.1, gt=0, le=1)
    """Callers whose requests it answers; a caller stays with the version that he has got."""
    window_s: float = Field(60.0, gt=0)
    """Seconds back that figures are counted over."""
    min_answers: int = Field(50, ge=1)
    """Fewer answers in the window say nothing yet."""
    max_failed: float = Field(0.01, ge=0, le=1)
    """Share of its answers that may fail beyond the champion's. It is not waited for `min_answers` failures."""
    max_slower: float = Field(1.5, gt=0)
    """Its engine's time over what the champion takes for as many texts together; waiting is not counted."""
    max_disagreement: float = Field(0.2, ge=0, le=1)
    """Share of texts to which it may answer otherwise than the champion."""


@dataclass(frozen=True)
class Passes:
    """Of the engine, with one and the same number of texts."""

    count: float = 0
    seconds: float = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.count + other.count, self.seconds + other.seconds)

    def since(self, before: Passes) -> Passes:
        """What has been added."""
        return Passes(max(0.0, self.count - before.count), max(0.0, self.seconds - before.seconds))

    @property
    def mean_s(self) -> float:
        """Seconds of one."""
        return self.seconds / self.count if self.count else 0.0


@dataclass(frozen=True)
class Counts:
    """What a version has done since it began to answer, or within a window."""

    answered: float = 0
    """Requests."""
    failed: float = 0
    """The same that came to nothing by its fault."""
    compared: float = 0
    """Texts that the other version answered, too."""
    disagreed: float = 0
    """Those of them that were answered otherwise; for numbers the sum of the differences."""
    passes: Mapping[int, Passes] = field(default_factory=dict)
    """Of its engine, by the number of texts in them: many together take less time each."""

    def since(self, before: Counts) -> Counts:
        """What has been added. A worker that was started anew may have fewer: that counts as none."""
        plain = [one.name for one in fields(self) if one.name != "passes"]
        mine = {name: max(0.0, getattr(self, name) - getattr(before, name)) for name in plain}
        passes = {size: own.since(before.passes.get(size, Passes())) for size, own in self.passes.items()}
        return Counts(**mine, passes=passes)

    @property
    def failing(self) -> float:
        """Share of requests that failed."""
        asked = self.answered + self.failed
        return self.failed / asked if asked else 0.0


def objections(canary: Counts, champion: Counts, rules: Canary) -> list[str]:
    """Why a canary has to stop, by what both have done in the same window; none where it may go on."""
    found = []
    allowed = champion.failing + rules.max_failed
    few = max(1.0, allowed * rules.min_answers)
    if canary.failed > few and canary.failing > allowed:
        found.append(f"{canary.failing:.1%} of its answers failed, at most {allowed:.1%}")
    slower = _slower(canary, champion, rules.min_answers)
    if slower > rules.max_slower:
        found.append(f"a text takes {slower:.2f} times as long as with the champion, at most {rules.max_slower:g}")
    if canary.compared >= rules.min_answers:
        apart = canary.disagreed / canary.compared
        if apart > rules.max_disagreement:
            found.append(f"{apart:.1%} of its answers are not the champion's, at most {rules.max_disagreement:.1%}")
    return found


def _slower(canary: Counts, champion: Counts, least: int) -> float:
    """The canary's time over what the champion takes for passes of the same sizes; 0 where too few are alike.

    A champion under load computes many texts together while its canary gets one at a time: by text, it would look
    the faster one whatever both are.
    """
    alike = [size for size in canary.passes if champion.passes.get(size, Passes()).count]
    both = [(size, canary.passes[size], champion.passes[size]) for size in alike]
    judged = sum(size * min(own.count, other.count) for size, own, other in both)
    expected = sum(own.count * other.mean_s for _, own, other in both)
    if judged < least or not expected:
        return 0.0
    return sum(own.seconds for _, own, _ in both) / expected
