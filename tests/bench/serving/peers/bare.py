"""The engine alone, one process a core: no server, no protocol, its texts at hand.

Run as a process, it reads lines of JSON with a batch size and seconds, and answers with what it has done.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.bench.serving.peers.engine import Engine


def batches(texts: Sequence[str], tokens: Sequence[int], size: int) -> list[list[str]]:
    """All texts in batches of like length, batches of all lengths mixed; those of one text as they come."""
    if size == 1:
        return [[text] for text in texts]
    ordered = [text for _, text in sorted(zip(tokens, texts, strict=True))]
    groups = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    random.Random(0).shuffle(groups)
    return groups


def work(engine: Engine, groups: Iterator[Sequence[str]], seconds: float) -> dict[str, float]:
    """Answer for so long."""
    used, begun, count = time.process_time(), time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        count += len(engine(next(groups)))
    return {"texts": count, "seconds": time.perf_counter() - begun, "cpu_s": time.process_time() - used}


def main(folder: str, file: str, orders: Iterable[str]) -> None:
    """Load, say so, then do what is ordered."""
    engine, asked = Engine(Path(folder)), json.loads(Path(file).read_text(encoding="utf-8"))
    engine(asked["texts"][:1])
    print("{}", flush=True)
    for order in orders:
        wanted = json.loads(order)
        groups = batches(asked["texts"], asked["tokens"], wanted["batch"])
        start = wanted["start"] % len(groups)
        turning = itertools.islice(itertools.cycle(groups), start, None)
        print(json.dumps(work(engine, turning, wanted["seconds"])), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdin)
