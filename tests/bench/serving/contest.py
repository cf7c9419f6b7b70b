"""Everyone in turns: the best way of each is found first, then they are measured round after round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from tests.bench.serving.figures import Figures
from tests.bench.serving.texts import BLOCK

TRIAL_S = 3
"""Seconds to compare the ways of a server; they warm it up, too."""
IDLE_S = 3
BUSY = 0.02
"""Share of a core above which an idle server would slow the others: it is stopped (SIGSTOP) outside its turns."""


class Running(Protocol):
    """What can be measured."""

    settings: str
    """How it is run."""
    resting: float
    """Cores that it uses while nobody asks."""

    def measure(self, clients: int, seconds: int, start: int) -> Figures:
        """Put load on it; `start` says with which text to begin."""

    def cpu_seconds(self) -> float:
        """What it has used so far."""

    def pause(self) -> None:
        """Give it no time."""

    def resume(self) -> None:
        """Let it go on."""

    def stop(self) -> None:
        """End it."""


@dataclass
class Contender:
    """Someone who is measured: all ways in which it runs, and the best of them by number of clients."""

    name: str
    title: str
    ways: list[Running]
    best: dict[int, Running] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """One measurement."""

    round: int
    clients: int
    name: str
    settings: str
    figures: Figures


class Contest:
    """Those who are measured; all of them end with it."""

    def __init__(self, clients: Sequence[int], seconds: int) -> None:
        self.clients = clients
        self.seconds = seconds
        self.contenders: list[Contender] = []
        self._ends = ExitStack()

    def __enter__(self) -> Contest:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def add(self, name: str, title: str, ways: Iterator[Running]) -> None:
        """Start someone; nobody else works meanwhile."""
        started: list[Running] = []
        self.contenders.append(Contender(name, title, started))
        for way in ways:
            self._ends.callback(way.stop)
            started.append(way)
            print(f"started {title}: {way.settings}", flush=True)

    def idle(self) -> dict[str, float]:
        """Cores that each uses while nobody asks; whoever cannot rest is named, and made to."""
        ways = [(one, way) for one in self.contenders for way in one.ways]
        before = [way.cpu_seconds() for _, way in ways]
        time.sleep(IDLE_S)
        for (one, way), used in zip(ways, before, strict=True):
            way.resting = (way.cpu_seconds() - used) / IDLE_S
            if way.resting > BUSY:
                told = f"{one.title} ({way.settings}) uses {way.resting:.0%} of a core while nobody asks"
                print(f"{told}: stopped between its turns", flush=True)
                way.pause()
        return {f"{one.name}: {way.settings}": way.resting for one, way in ways}

    def choose(self) -> None:
        """Find the best way of each at every number of clients, and end those that are best at none."""
        for one in self.contenders:
            for clients in self.clients:
                rates = [self._measure(way, clients, min(TRIAL_S, self.seconds), 0).rate for way in one.ways]
                one.best[clients] = one.ways[rates.index(max(rates))]
                if len(rates) > 1:
                    told = "; ".join(f"{way.settings} {rate:.0f}" for way, rate in zip(one.ways, rates, strict=True))
                    print(f"{clients} clients, {one.title}: {told} a second", flush=True)
            for way in one.ways:
                if way not in one.best.values():
                    way.stop()

    def play(self, rounds: int) -> list[Turn]:
        """Let everyone have a turn at every number of clients, each time in another order."""
        turns: list[Turn] = []
        for number in range(rounds):
            for step, clients in enumerate(self.clients):
                shift = (number * len(self.clients) + step) % len(self.contenders)
                for one in self.contenders[shift:] + self.contenders[:shift]:
                    way = one.best[clients]
                    figures = self._measure(way, clients, self.seconds, number * BLOCK)
                    turns.append(Turn(number, clients, one.name, way.settings, figures))
                rates = {turn.name: turn.figures.rate for turn in turns[-len(self.contenders) :]}
                told = "  ".join(f"{one.name} {rates[one.name]:.0f}" for one in self.contenders)
                print(f"round {number + 1} of {rounds}, {clients} clients: {told} a second", flush=True)
        return turns

    @staticmethod
    def _measure(way: Running, clients: int, seconds: int, start: int) -> Figures:
        if way.resting <= BUSY:
            return way.measure(clients, seconds, start)
        way.resume()
        figures = way.measure(clients, seconds, start)
        way.pause()
        return figures
