"""Promotions that are killed, as a script: each trial is a real process, forked from one that has imported everything.

Usage: python -m tests.e2e.trials ROOT COUNT OVERRIDES...; prints one JSON line a trial, then one for two at once.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import bentoml

from sluice.registry import promotions
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, find, intact
from tests.e2e.forks import command, in_fork


def state(root: Path) -> dict:
    """The champion, whole and packaged or this fails, and the decisions that are still open; asked in a child."""

    def ask() -> None:
        store = Store(root, None)
        champion = find(store, "demo", CHAMPION)
        intact(store, champion)
        bentoml.get(f"demo:v{champion.number}")
        decisions = promotions.history(store, "demo")
        open_ones = [decision.target for decision in decisions if decision.state == "intent"]
        print(json.dumps({"champion": champion.number, "open": open_ones}))

    output = root / "state.txt"
    os.waitpid(in_fork(ask, output), 0)
    return json.loads(output.read_text())


def promote(overrides: list[str], target: int, told: Path) -> int:
    """Start a promotion that cannot be refused; returns its process id."""
    more = [f"version={target}", "force=trial", "gate.max_latency_ratio=null"]
    return in_fork(lambda: command("promote", [*overrides, *more]), told)


def main(root: Path, count: int, overrides: list[str]) -> None:
    rng = random.Random(0)
    told = root / "told.txt"
    start = time.monotonic()
    os.waitpid(promote(overrides, 3 - state(root)["champion"], told), 0)
    whole = time.monotonic() - start
    before = state(root)["champion"]
    for trial in range(count):
        child = promote(overrides, 3 - before, told)
        time.sleep(whole * (trial + rng.random()) / count)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        after = state(root)
        line = {"before": before, "after": after["champion"], "open": after["open"], "told": told.read_text()}
        print(json.dumps(line), flush=True)
        before = after["champion"]
    print(json.dumps(pair(root, overrides)), flush=True)


def pair(root: Path, overrides: list[str]) -> dict:
    """Two promotions of the same version at once, and what each said."""
    target = 3 - state(root)["champion"]
    files = [root / "one.txt", root / "other.txt"]
    children = [promote(overrides, target, file) for file in files]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return {"target": target, "codes": codes, "told": [file.read_text() for file in files], **state(root)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
