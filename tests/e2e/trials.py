"""Promotions that are killed, as a script: forks, so that each trial is a real process without seconds of imports.

Usage: python -m tests.e2e.trials ROOT COUNT OVERRIDES...; prints one JSON line a trial.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import bentoml
import mlflow.pyfunc  # noqa: F401
import torch
import transformers.models.modernbert.modeling_modernbert  # noqa: F401

from pipelines import promote
from sluice.registry import promotions
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, find, intact
from tests.conftest import compose_config


def in_fork(work) -> int:
    """Run `work` in a child; returns its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = work() or 0
    finally:
        sys.stdout.flush()
        os._exit(code)


def ask(work) -> object:
    """What `work` returns, computed in a child: the parent never opens the database."""
    read, write = os.pipe()

    def answer() -> None:
        os.write(write, json.dumps(work()).encode())

    child = in_fork(answer)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text)


def state(root: Path) -> dict:
    """The champion, whether it is whole and packaged, and the decisions that are still open."""
    store = Store(root, None)
    champion = find(store, "demo", CHAMPION)
    intact(store, champion)
    bentoml.get(f"demo:v{champion.number}")
    open_ones = [decision.target for decision in promotions.history(store, "demo") if decision.state == "intent"]
    return {"champion": champion.number, "open": open_ones}


def promotion(overrides: list[str], target: int, told: Path):
    """A promotion of one version that cannot be refused, its output in a file."""

    def work() -> int:
        out = os.open(told, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(out, 1)
        return promote.command(
            compose_config(*overrides, f"version={target}", "force=trial", "gate.max_latency_ratio=null")
        )

    return work


def main(root: Path, count: int, overrides: list[str]) -> None:
    torch.set_num_threads(1)
    rng = random.Random(0)
    told = root / "told.txt"
    before = ask(lambda: state(root))["champion"]
    start = time.monotonic()
    os.waitpid(in_fork(promotion(overrides, 3 - before, told)), 0)
    whole = time.monotonic() - start
    for trial in range(count):
        before = ask(lambda: state(root))
        target = 3 - before["champion"]
        child = in_fork(promotion(overrides, target, told))
        delay = whole * (trial + rng.random()) / count
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        after = ask(lambda: state(root))
        line = {
            "before": before["champion"],
            "after": after["champion"],
            "open": after["open"],
            "told": told.read_text(),
        }
        print(json.dumps(line), flush=True)
    print(json.dumps(pair(root, overrides)), flush=True)


def pair(root: Path, overrides: list[str]) -> dict:
    """Two promotions of the same version at once, and what each said."""
    target = 3 - ask(lambda: state(root))["champion"]
    files = [root / "one.txt", root / "other.txt"]
    children = [in_fork(promotion(overrides, target, file)) for file in files]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return {"target": target, "codes": codes, "told": [file.read_text() for file in files], **ask(lambda: state(root))}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
