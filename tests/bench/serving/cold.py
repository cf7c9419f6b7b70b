"""What a forward pass costs when something else had the caches before it: why an engine is dearer within a server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.bench.serving.material import Material
from tests.bench.serving.peers.engine import Engine

TEXTS, ROUNDS = 200, 5
BETWEEN_S = 0.002
RECORDS = [{"at": number, "near": [number] * 5} for number in range(3000)]
MEMORY = np.zeros(32 << 20, np.uint8)


def _nothing() -> None:
    pass


def _python() -> None:
    until = time.perf_counter() + BETWEEN_S
    while time.perf_counter() < until:
        json.loads(json.dumps(RECORDS))


def _sleep() -> None:
    time.sleep(BETWEEN_S)


def _memory() -> None:
    np.add(MEMORY, 1, out=MEMORY)


CASES: dict[str, Callable[[], None]] = {
    "nothing": _nothing,
    "Python for 2 ms": _python,
    "sleep for 2 ms": _sleep,
    "32 MiB read and written": _memory,
}


def passes(engine: Engine, texts: Sequence[str], before: Callable[[], None]) -> float:
    """Mean CPU milliseconds of a pass over one text, `before` each of which something else is done."""
    used = 0.0
    for text in texts:
        before()
        begun = time.thread_time()
        engine([text])
        used += time.thread_time() - begun
    return 1000 * used / len(texts)


def compare(material: Material) -> list[dict[str, Any]]:
    """Print what a text costs after each of `CASES`, one after the other in every round."""
    engine, texts = Engine(material.bundle), material.texts[:TEXTS]
    passes(engine, texts, _nothing)
    rounds = [{name: passes(engine, texts, before) for name, before in CASES.items()} for _ in range(ROUNDS)]
    print(f"| between two texts | CPU-ms a text | over nothing, {ROUNDS} rounds |\n| --- | --- | --- |")
    for name in CASES:
        ratios = sorted(one[name] / one["nothing"] for one in rounds)
        mean = sum(one[name] for one in rounds) / ROUNDS
        print(f"| {name} | {mean:.2f} | {ratios[ROUNDS // 2]:.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}] |")
    return [{"case": name, "cpu_ms": [one[name] for one in rounds]} for name in CASES]
