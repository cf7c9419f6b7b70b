"""A canary beside the champion, in figures: what stops it. Pure: figures in, reasons out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, Self

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
    """Its engine's mean time for a text over the champion's: how long texts waited says more of who asks than of it."""
    max_disagreement: float = Field(0.2, ge=0, le=1)
    """Share of texts to which it may answer otherwise than the champion."""


@dataclass(frozen=True)
class Counts:
    """What a version has done since it began to answer, or within a window."""

    answered: float = 0
    """Requests."""
    failed: float = 0
    """The same that came to nothing by its fault."""
    texts: float = 0
    """That its engine has worked on."""
    seconds: float = 0
    """That it took for them."""
    compared: float = 0
    """Texts that the other version answered, too."""
    disagreed: float = 0
    """Those of them that were answered otherwise; for numbers and vectors the sum of the differences."""

    def since(self, before: Self) -> Counts:
        """What has been added. A worker that was started anew may have fewer: that counts as none."""
        mine = [max(0.0, getattr(self, one.name) - getattr(before, one.name)) for one in fields(self)]
        return Counts(*mine)

    @property
    def mean_s(self) -> float:
        """Seconds of the engine for a text."""
        return self.seconds / self.texts if self.texts else 0.0

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
    if min(canary.texts, champion.texts) >= rules.min_answers:
        slower = canary.mean_s / champion.mean_s if champion.mean_s else 0.0
        if slower > rules.max_slower:
            found.append(f"a text takes {slower:.2f} times as long as with the champion, at most {rules.max_slower:g}")
    if canary.compared >= rules.min_answers:
        apart = canary.disagreed / canary.compared
        if apart > rules.max_disagreement:
            found.append(f"{apart:.1%} of its answers are not the champion's, at most {rules.max_disagreement:.1%}")
    return found
