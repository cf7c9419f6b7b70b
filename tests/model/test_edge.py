"""A folder that answers as the service does, with nothing but onnxruntime, tokenizers and numpy around it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sluice.compression.edge import NEEDS, RUNNER, write_edge
from sluice.compression.export import export
from sluice.compression.quantize import quantize
from sluice.errors import UserError
from sluice.inference.bundle import Abstention, Bundle
from sluice.inference.engines.onnx import OnnxEngine
from sluice.inference.predictor import Predictor
from sluice.tasks.classification import Classification
from sluice.tasks.embedding import Embedding
from sluice.tasks.multilabel import Multilabel
from sluice.tasks.pair_classification import PairClassification
from sluice.tasks.regression import Regression
from tests.model.test_compression import KINDS, LENGTH, Kind, classified, untrained
from tests.model.test_multilabel import make_rows as labelled
from tests.model.test_pair_classification import make_rows as compared
from tests.model.test_regression import make_rows as rated
from tests.model.test_vectors import pairs

TASKS = {
    "classification": Kind(Classification(max_length=LENGTH), classified(50)),
    "multilabel": Kind(Multilabel(max_length=LENGTH), labelled(50)),
    "regression": Kind(Regression(max_length=LENGTH), rated(50)),
    "pair_classification": Kind(PairClassification(max_length=LENGTH), compared(50)),
    "embedding": Kind(Embedding(max_length=LENGTH), pairs(50)),
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has what `requirements.txt` names and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    for name in NEEDS:
        place = Path(importlib.util.find_spec(name).origin).parent
        for part in (place, place.with_name(f"{name}.libs")):
            if part.exists():
                (folder / part.name).symlink_to(part)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}


def asked(folder: Path, bare: dict[str, str], texts: list[str]) -> list[dict]:
    command = [sys.executable, "-S", str(folder / RUNNER.name)]
    done = subprocess.run(command, input="\n".join(texts), capture_output=True, text=True, env=bare, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def alike(one: object, other: object) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == (pytest.approx(other, abs=1e-6) if isinstance(one, float) else other)


@pytest.mark.parametrize("name", TASKS)
def test_it_answers_as_the_service_does(name: str, tmp_path: Path, bare: dict[str, str]):
    kind = TASKS[name]
    bundle = untrained(kind, tmp_path)
    rule = Abstention(threshold=0.3) if name == "classification" else None
    Bundle.read(bundle).model_copy(update={"abstention": rule}).write(bundle)
    export(bundle)
    quantize(bundle)
    assert write_edge(bundle, tmp_path / "edge", "demo:3", "d" * 64) == "int8"
    given = list(kind.task.inputs(kind.rows))[:20]
    texts = [one if isinstance(one, str) else json.dumps(one) for one in given]
    texts += [] if name == "pair_classification" else ["near the old iron gate " * 60, "ünïcode 🙂"]
    ours = asked(tmp_path / "edge", bare, texts)
    theirs = Predictor(bundle, OnnxEngine(precision="int8", threads=1)).predict(texts).results
    for one, other in zip(ours, theirs, strict=True):
        assert one.pop("model") == "demo:3"
        assert alike(one, other.model_dump(mode="json"))


def test_its_python_has_nothing_else(bare: dict[str, str]):
    command = [sys.executable, "-S", "-c", "import onnxruntime, tokenizers, numpy; import torch"]
    done = subprocess.run(command, capture_output=True, text=True, env=bare, check=False)
    assert "No module named 'torch'" in done.stderr


def test_what_cannot_be_exported_says_why(tmp_path: Path):
    bundle = untrained(KINDS["classification"], tmp_path / "one")
    with pytest.raises(UserError, match="demo:3 has no ONNX form"):
        write_edge(bundle, tmp_path / "edge", "demo:3", "d" * 64)
    bundle = untrained(KINDS["token_classification"], tmp_path / "other")
    export(bundle)
    with pytest.raises(UserError, match="task=token_classification cannot be exported"):
        write_edge(bundle, tmp_path / "edge", "demo:3", "d" * 64)
    assert not (tmp_path / "edge").exists()
