"""A version as a folder that runs by itself, on machines with nothing but onnxruntime and tokenizers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipelines.shared.entry import main
from pipelines.shared.session import named, shorten
from sluice.compression.edge import NEEDS, RUNNER, write_edge
from sluice.config import Config
from sluice.errors import UserError
from sluice.inference.engines.formed import engine_of
from sluice.inference.predictor import Predictor
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, Version, find, intact

TOLERANCE = 1e-5
"""Largest difference of a number in the folder's answer from the service's."""


def command(cfg: Config) -> None:
    """`make export`: written beside the place, tried out, then put there."""
    if cfg.output is None:
        raise UserError(f"output: name the folder to write, make export{named(cfg.name, 'output=edge')}")
    target = cfg.output.absolute()
    if target.exists():
        raise UserError(f"{target} is there already: remove it, or name another folder with output=")
    store = Store(cfg.root, cfg.tracking_uri)
    version = find(store, cfg.name, cfg.version or CHAMPION)
    bundle = intact(store, version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as beside:
        folder = Path(beside) / target.name
        form = write_edge(bundle, folder, str(version), version.digest)
        seconds = _check(bundle, folder, form, version)
        folder.rename(target)
    size = sum(path.stat().st_size for path in target.iterdir())
    print(f"{version} ({form}) lies in {shorten(target)}: {size / 1e6:.1f} MB, {seconds:.2f} s to its first answer")
    print(f"It needs {', '.join(NEEDS)} (requirements.txt). Next: python {shorten(target / RUNNER.name)} 'a text'")


def _check(bundle: Path, folder: Path, form: str, version: Version) -> float:
    """Ask the folder, in a process of its own, what the task's example is. Returns the seconds that it took."""
    predictor = Predictor(bundle, engine_of(form, threads=1))
    example = predictor.task.example
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(folder / RUNNER.name), example], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise UserError(f"the folder of {version} does not run: {done.stderr.strip().splitlines()[-1]}")
    said, wanted = json.loads(done.stdout), predictor.predict([example]).results[0].model_dump()
    if not _alike({name: said.get(name) for name in wanted}, wanted):
        raise UserError(f"the folder of {version} answers {done.stdout.strip()[:200]}, expected {str(wanted)[:200]}")
    return seconds


def _alike(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=0, atol=TOLERANCE))
    return one == other


if __name__ == "__main__":
    main(command, record=False)
