"""Callers for a running service: how many requests it answers, how fast, and from which versions."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from pipelines.shared.entry import main
from sluice.config import Config
from sluice.errors import UserError

STEP_S = 1.0
WORDS = "the shortest path between two nodes of a weighted graph, or an array of dates"
RECENT = 100
"""Texts that a caller comes back to."""


@dataclass
class Tally:
    """What the callers were answered."""

    seconds: list[float] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    known: int = 0
    """Answers that had been given before."""


def command(cfg: Config) -> None:
    """`make load`: a table of latencies, versions and refusals."""
    asyncio.run(_drive(cfg))


async def _drive(cfg: Config) -> None:
    url, load = cfg.load.url or f"http://127.0.0.1:{cfg.serve.port}", cfg.load
    each = aiohttp.TCPConnector(limit=load.callers)  # a connection each
    limit = aiohttp.ClientTimeout(total=cfg.serve.timeout_s)
    async with aiohttp.ClientSession(url, connector=each, timeout=limit) as client:
        try:
            route, words = await _target(client)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UserError(
                f"no service answers at {url}: start it with make serve, or name it: load.url=http://..."
            ) from error
        print(f"{load.callers} callers of {url}{route} for {load.seconds:g} s")
        tally, until = Tally(), time.perf_counter() + load.seconds
        callers = [
            _call(client, route, _texts(words, number, load.repeats), number, until, tally)
            for number in range(load.callers)
        ]
        await asyncio.gather(*callers, _watch(tally, until))
    print("\n".join(_table(tally, load.seconds)))


async def _target(client: aiohttp.ClientSession) -> tuple[str, list[str]]:
    """What the service's first model is asked, and with which words."""
    async with client.get("/v1/models", raise_for_status=True) as answer:
        (first, *_) = (await answer.json())["data"]
    return first["routes"][0], WORDS.split()


def _texts(words: list[str], number: int, repeats: float) -> Iterator[str]:
    """What a caller asks: 3 to 40 of the words, or what he has asked before; other texts each time this is run."""
    draw = random.Random(time.time_ns() + number)
    asked: list[str] = []
    while True:
        if not asked or draw.random() >= repeats:
            asked.append(" ".join(draw.choices(words, k=draw.randint(3, 40))))
            yield asked[-1]
        else:
            yield draw.choice(asked[-RECENT:])


async def _call(
    client: aiohttp.ClientSession, route: str, texts: Iterator[str], number: int, until: float, tally: Tally
) -> None:
    """One request after the other."""
    while time.perf_counter() < until:
        given, begun = next(texts), time.perf_counter()
        try:
            own = {"X-Caller": f"caller {number}"}
            async with client.post(route, json={"input": given}, headers=own) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            tally.statuses[type(error).__name__] += 1
            continue
        tally.seconds.append(time.perf_counter() - begun)
        tally.statuses[str(answer.status)] += 1
        tally.known += answer.headers.get("X-Cache") == "hit"
        tally.versions[answer.headers.get("X-Model-Version", "-")] += 1


async def _watch(tally: Tally, until: float) -> None:
    done = 0
    while time.perf_counter() < until:
        await asyncio.sleep(min(STEP_S, max(0.0, until - time.perf_counter())))
        print(f"  {len(tally.seconds) - done} requests in this second", flush=True)
        done = len(tally.seconds)


def _table(tally: Tally, seconds: float) -> list[str]:
    times = sorted(tally.seconds)

    def at(share: float) -> float:
        return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else 0.0

    head = ["requests/s", "p50 ms", "p95 ms", "p99 ms", "longest ms", "known", "statuses", "versions"]
    row = [f"{len(times) / seconds:.0f}", *(f"{at(share):.1f}" for share in (0.5, 0.95, 0.99, 1))]
    row.append(f"{tally.known / max(1, len(times)):.0%}")
    for counts in (tally.statuses, tally.versions):
        row.append(", ".join(f"{name} x {count:,}" for name, count in counts.most_common()))
    widths = [max(len(one), len(other)) for one, other in zip(head, row, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (head, row)]
    return ["  ".join(line).rstrip() for line in lines]


if __name__ == "__main__":
    main(command, record=False)
