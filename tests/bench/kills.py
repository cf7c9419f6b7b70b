"""Trainings that are killed at random moments: `make bench-kills`.

One training runs to its end undisturbed. Then the same training, in a folder of its own, is killed again and again,
each time at a moment drawn from the whole way, and started again, until it ends. Printed: the stage each kill met, and
whether weights, figures and MLflow runs are those of the undisturbed one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from sluice.errors import UserError
from sluice.part import digest
from sluice.registry.store import Store
from tests.bench import told, whole
from tests.conftest import REPOSITORY, make_rows, write_csv

STAGE = re.compile(r"^\[(\w+)\]$")


class Training:
    """`make train` in a process of its own, with what it prints."""

    def __init__(self, root: Path, choices: list[str]) -> None:
        command = [sys.executable, "-m", "pipelines.train", f"root={root}", "name=demo", *choices]
        kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env=kept, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self.lines: list[str] = []
        self.begun = threading.Event()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            self.begun.set()
        self.begun.set()

    def end(self) -> int:
        """Wait for it; its exit code."""
        code = self.process.wait()
        self.reader.join()
        return code

    def mistake(self) -> str:
        """The last that it had to say."""
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or ["the training ended without a word"])[-1]

    def at(self) -> str:
        """The stage that was at work."""
        stages = [found[1] for line in self.lines if (found := STAGE.match(line))]
        done = [line for line in self.lines if "done in" in line or "unchanged" in line]
        return stages[-1] if stages and not (done and stages[-1] in done[-1]) else "between stages"


def state(root: Path) -> dict[str, str]:
    """What a training left: digests of weights and figures, and its MLflow runs."""
    records = {
        path.parent.parent.name: json.loads(path.read_text())["record"] for path in root.glob("work/*/*/manifest.json")
    }
    store = Store(root, None)
    runs = store.client.search_runs([store.experiment("demo")])
    return {
        "weights": records["finetune"]["digest"][:16],
        "figures": digest(records["evaluate"]["metrics"])[:16],
        "runs": ", ".join(sorted(f"{run.info.run_name.split('-')[0]} {run.info.status}" for run in runs)),
        "left behind": ", ".join(path.name for path in root.glob("work/*/*.partial")) or "nothing",
    }


def trial(folder: Path, choices: list[str], kills: int, seed: int) -> bool:
    """Print every kill and the comparison; whether all is the same."""
    undisturbed = Training(folder / "whole", choices)
    undisturbed.begun.wait()
    start = time.monotonic()
    if undisturbed.end():
        raise UserError(f"the undisturbed training fails: {undisturbed.mistake().removeprefix('error: ')}")
    whole = time.monotonic() - start
    expected = state(folder / "whole")
    print(f"undisturbed: {whole:.1f} s from its first line to its end", flush=True)
    rng, number, rounds, same = random.Random(seed), 0, 0, True
    while number < kills:
        rounds += 1
        root = folder / f"killed-{rounds}"
        while True:
            training = Training(root, choices)
            training.begun.wait()
            until = time.monotonic() + rng.random() * whole
            while number < kills and training.process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            if number == kills or training.process.poll() is not None:
                break
            os.kill(training.process.pid, signal.SIGKILL)
            training.end()
            number += 1
            print(f"kill {number:>2} in round {rounds}: {training.at()}", flush=True)
        code = training.end()
        found = state(root)
        same &= code == 0 and found == expected
        for name, value in found.items():
            verdict = "as undisturbed" if value == expected[name] else f"EXPECTED {expected[name]}"
            print(f"  round {rounds} {name}: {value} ({verdict})", flush=True)
        shutil.rmtree(root)
    return same


def main() -> None:
    """Read the command line, run the trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=whole, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("choices", nargs="*", help="of the training; default: a small one")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    rows = write_csv(folder / "rows.csv", make_rows(3000))
    small = ["data=files", f"data.train={rows}", "model=tiny", "train.max_steps=150", "train.evaluations=5"]
    try:
        same = trial(folder, given.choices or small, given.kills, given.seed)
    finally:
        shutil.rmtree(folder)
    print("all the same" if same else "NOT THE SAME")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    told(main)
