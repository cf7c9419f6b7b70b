"""What came out: a table of everyone, and every ratio with what is wanted of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.serving.contest import Turn
from tests.bench.serving.figures import Figures
from tests.bench.serving.usage import CORES

LIKE = 0.1
"""How far two measurements of the same may lie apart on a machine that is quiet enough."""


@dataclass(frozen=True)
class Target:
    """Something that is wanted, at some numbers of clients."""

    text: str
    needs: tuple[str, ...]
    """Whose figures it is about."""
    clients: tuple[int, ...] | None
    """None: at all that are measured."""
    sign: str
    wanted: float
    value: Callable[..., float]
    """From their figures in one round, in the order of `needs`."""

    def reached(self, found: float) -> bool:
        """Whether it is as wanted."""
        return {
            ">=": found >= self.wanted,
            ">": found > self.wanted,
            "<=": found <= self.wanted,
            "~": abs(found - self.wanted) <= LIKE,
        }[self.sign]


@dataclass(frozen=True)
class Found:
    """What was found of a target at one number of clients."""

    text: str
    clients: int
    median: float
    low: float
    high: float
    """The least and the greatest of the rounds."""
    wanted: str
    reached: bool


def over(one: float, other: float) -> float:
    """A ratio; of nothing, infinitely many times."""
    return one / other if other else math.inf


def rates(ours: Figures, other: Figures) -> float:
    """How many times as much a second."""
    return over(ours.rate, other.rate)


def share_of_engine(ours: Figures, engine: Figures) -> float:
    """Our texts a second over the bare engine's, each by the cores that it had.

    The engine has all cores. We share them with wrk, which on another machine would stand elsewhere: the cores that it
    used are taken off ours, so our rate is scaled by cores / (cores - wrk's CPU seconds a second).
    """
    left = CORES - ours.load_cpu_s / ours.seconds
    return over(ours.rate * CORES / left, engine.rate)


def judged(turns: Sequence[Turn], targets: Sequence[Target]) -> Iterator[Found]:
    """Each target whose figures there are, at each of its numbers of clients."""
    for target in targets:
        for clients in sorted({turn.clients for turn in turns}):
            if target.clients is not None and clients not in target.clients:
                continue
            values = [
                target.value(*(figures[name] for name in target.needs))
                for figures in by_round(turns, clients)
                if figures.keys() >= set(target.needs)
            ]
            if values:
                middle = statistics.median(values)
                found = (middle, min(values), max(values))
                yield Found(target.text, clients, *found, f"{target.sign} {target.wanted:g}", target.reached(middle))


def by_round(turns: Sequence[Turn], clients: int) -> list[Mapping[str, Figures]]:
    """Figures by name, round by round."""
    numbers = sorted({turn.round for turn in turns})
    return [
        {turn.name: turn.figures for turn in turns if (turn.round, turn.clients) == (number, clients)}
        for number in numbers
    ]


def table(turns: Sequence[Turn], titles: Mapping[str, str], unit: str, waited: str) -> Iterator[str]:
    """Medians over the rounds as Markdown; `waited` says until when p50 and p99 are counted."""
    yield (
        f"| clients | server | run as | {unit}s/s | {waited}p50 ms | {waited}p99 ms | CPU-ms/{unit} | PSS MiB "
        "| load's cores | errors |"
    )
    yield "| --- " * 10 + "|"
    for clients in sorted({turn.clients for turn in turns}):
        for name, title in titles.items():
            own = [turn for turn in turns if (turn.clients, turn.name) == (clients, name)]
            figures = [turn.figures for turn in own]
            cells = [
                median([one.rate for one in figures], ".1f"),
                median([one.p50_ms for one in figures], ".1f"),
                median([one.p99_ms for one in figures], ".1f"),
                median([one.cpu_ms for one in figures], ".2f"),
                median([one.pss_bytes / 2**20 for one in figures], ",.0f"),
                median([one.load_cpu_s / one.seconds for one in figures], ".2f"),
                errors(sum(one.errors for one in figures)),
            ]
            yield f"| {clients} | {title} | {own[0].settings} | {' | '.join(cells)} |"


def median(values: Sequence[float | None], form: str) -> str:
    """The median, or a dash where there is nothing to tell."""
    known = [value for value in values if value is not None and not math.isnan(value)]
    return format(statistics.median(known), form) if known else "-"


def errors(count: int) -> str:
    """A number that cannot be overlooked."""
    return f"**{count}**" if count else "0"


def targets_table(found: Sequence[Found]) -> Iterator[str]:
    """What is wanted and what was found, as Markdown."""
    yield "| Sluice | clients | median [least, greatest round] | wanted | reached |"
    yield "| --- | --- | --- | --- | --- |"
    for one in found:
        told = f"{one.median:.2f} [{one.low:.2f}, {one.high:.2f}]"
        yield f"| {one.text} | {one.clients} | {told} | {one.wanted} | {'yes' if one.reached else '**no**'} |"


def as_json(turns: Sequence[Turn], found: Sequence[Found]) -> dict[str, Any]:
    """The same for machines, every round by itself."""
    return {"turns": [asdict(turn) for turn in turns], "targets": [asdict(one) for one in found]}
