"""How much memory a model takes that is loaded and asked: measured in a process of its own, which does nothing more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from sluice.inference.bundle import Bundle
from sluice.inference.engine import Engine
from sluice.tasks.encoding import Encoded

STATUS = Path("/proc/self/status")
PEAK = "VmHWM:"
"""Line of it: the most memory that the process has had at a time, in kB."""


def peak(bundle: Path, engine: Engine, encoded: Sequence[Encoded]) -> int | None:
    """Most bytes that a process holds which loads the bundle and answers these inputs, one after the other.

    None where the system does not tell. Raises RuntimeError with the last line of what went wrong in that process.
    """
    if not STATUS.exists():
        return None
    asked = {"bundle": str(bundle), "engine": engine.describe(), "ids": [list(one.ids) for one in encoded]}
    command = [sys.executable, "-m", __name__]
    told = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True)
    if told.returncode:
        raise RuntimeError(
            f"{engine.name} by itself ended with {told.returncode}: {told.stderr.strip().splitlines()[-1:]}"
        )
    return int(told.stdout)


def main() -> None:
    """Load what stdin names, answer, and print the peak in bytes."""
    asked = json.load(sys.stdin)
    folder = Path(asked["bundle"])
    module, _, name = asked["engine"].pop("_target_").rpartition(".")
    engine: Engine = getattr(import_module(module), name)(**asked["engine"])
    task = Bundle.read(folder).resolve_task()
    forward = engine.load(folder, task)
    for ids in asked["ids"]:
        forward([ids], task.Options())
    print(next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(PEAK)))


if __name__ == "__main__":
    main()
