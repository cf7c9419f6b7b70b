"""A decoder as onnxruntime-genai runs it: a graph that keeps what it has read, in float32 or with weights in 8 bits."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from sluice.errors import UserError
from sluice.inference.bundle import Bundle
from sluice.inference.engines.genai import CONFIG, EXTRA, FOLDERS, GRAPH, GenaiEngine
from sluice.inference.engines.torch import TorchEngine
from sluice.tasks.generation import Likelihood

WIDTH = 16
"""What the width of a head must be a multiple of."""
TOLERANCE = 1e-4
"""Largest difference from PyTorch's likelihoods, as a share of the largest."""
LONGEST = 32
"""Tokens that are checked."""
PRECISIONS = {"float32": "fp32", "int8": "int8"}
KEPT = (GRAPH, f"{GRAPH}.data", CONFIG)
"""Of what the builder writes; the bundle has the tokenizer."""


def obstacle(bundle: Path) -> str | None:
    """Why the form cannot be made here of this bundle's model, in one line; None where it can."""
    if find_spec("onnxruntime_genai") is None:
        return f"onnxruntime-genai is not installed: {EXTRA}"
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    wide = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    if wide % WIDTH:
        return f"the model's heads are {wide} wide, expected a multiple of {WIDTH}"
    return None


def build(bundle: Path, precision: str) -> Path:
    """Write the graph into a folder of the bundle, hold it against PyTorch where it is float32, and return its path.

    In a process of its own: the builder prints, and holds the weights several times. Raises UserError for a model that
    it cannot build, or that computes something else afterwards.
    """
    if why := obstacle(bundle):
        raise UserError(f"no genai: {why}. Leave that form out")
    target = bundle / FOLDERS[precision]
    with tempfile.TemporaryDirectory(dir=bundle.parent) as folder:
        command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-m", str(bundle.absolute())]
        command += ["-o", f"{folder}/out", "-p", PRECISIONS[precision], "-e", "cpu", "-c", f"{folder}/cache"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UserError(f"onnxruntime-genai cannot build this model: {last}. Leave that form out")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for name in KEPT:
            (Path(folder) / "out" / name).rename(target / name)
    if precision == "float32":
        _check(bundle)
    return target / GRAPH


def _check(bundle: Path) -> None:
    """Compare how likely both engines find random tokens."""
    import numpy as np

    task = Bundle.read(bundle).resolve_task()
    words = json.loads((bundle / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    ids = np.random.default_rng(0).integers(0, words, LONGEST).tolist()
    ours, theirs = (engine.load(bundle, task)([ids], Likelihood())[0] for engine in (GenaiEngine(), TorchEngine()))
    off = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    if not off <= TOLERANCE:
        told = f"the graph does not compute what the model does: likelihoods are {off:.2g} of the largest apart"
        raise UserError(f"{told}, expected at most {TOLERANCE:g}. Leave genai out")
