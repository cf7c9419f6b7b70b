"""One large batch, the same batch in parts, and the same batch on two processes are one training."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sluice.data.prepare import prepare
from sluice.data.sources.tabular import Files
from sluice.errors import UserError
from sluice.inference.bundle import Lineage
from sluice.models.checkpoint import Checkpoint
from sluice.training.bundle import train_bundle
from sluice.training.fit import fit
from sluice.training.rows import Rows
from sluice.training.settings import Train
from tests.conftest import REPOSITORY, make_rows
from tests.model.test_training import SPEC, TASK, weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.device_count() == 1, reason="two processes need two GPUs, or none"),
]
LINEAGE = Lineage(data="", split="", config="", git="")
SETTINGS = {
    "precision": "fp32",
    "label_smoothing": 0.1,
    "token_dropout": 0.0,
    "class_weights": "balanced",
    "epochs": 3,
    "evaluations": 1,
    "learning_rate": 0.3,
    "optimizer": "sgd",
}


def save_trained(folder: Path, **changes) -> dict:
    """Train on 64 toy rows; FOLDER/weights.npy gets the weights, the loss of each step is returned."""
    from transformers import set_seed

    rows = make_rows(64)
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    labels = TASK.labels(columns)
    tokenizer = SPEC.tokenizer(columns["text"], TASK.max_length)
    encoded = Rows.of(TASK, tokenizer, columns, labels)
    set_seed(0)
    model = SPEC.model(TASK.model_class(), labels, tokenizer, encoded.ids)
    figures = {}
    settings = Train.model_validate({**SETTINGS, **changes})

    def log(values, step):
        figures[step] = figures.get(step, {}) | values

    fitted = fit(
        model,
        tokenizer,
        TASK,
        encoded,
        encoded,
        labels,
        settings,
        seed=0,
        folder=folder / "run",
        checkpoint=None,
        log=log,
    )
    if os.environ.get("RANK", "0") == "0":
        np.save(folder / "weights.npy", weights(fitted))
        losses = [values["train/loss"] for values in figures.values() if "train/loss" in values]
        np.save(folder / "losses.npy", losses)
    return figures


def test_one_batch_its_parts_and_two_processes_are_one_training(tmp_path):
    for name in ("whole", "parts", "processes"):
        (tmp_path / name).mkdir()
    save_trained(tmp_path / "whole", batch_size=16)
    save_trained(tmp_path / "parts", batch_size=8, accumulation=2)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*command, "-m", "tests.model.ddp", str(tmp_path / "processes")],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = {name: np.load(tmp_path / name / "weights.npy") for name in ("whole", "parts", "processes")}
    losses = {name: np.load(tmp_path / name / "losses.npy") for name in found}
    assert len(losses["whole"]) == 12
    start = np.load(tmp_path / "whole" / "losses.npy")[0]
    assert losses["whole"][-1] < 0.8 * start, "a training that learns nothing proves nothing"
    for name in ("parts", "processes"):
        assert np.allclose(found["whole"], found[name], atol=2e-5), name
        assert np.allclose(losses["whole"], losses[name], atol=1e-4), name


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, rows_csv):
    folder = tmp_path_factory.mktemp("prepared")
    prepare(Files(name="toy", train=str(rows_csv)), TASK, folder, keep_texts=True)
    return folder


def test_a_bundle_by_two_processes_says_what_it_learnt(prepared, tmp_path):
    figures = []
    settings = Train(max_steps=6, batch_size=8, processes=2, evaluations=2, precision="fp32")

    def log(values, step):
        figures.append((step, values))

    record = train_bundle(prepared, tmp_path, TASK, SPEC, settings, LINEAGE, seed=0, log=log)
    assert record["steps"] == 6
    assert [step for step, values in figures if "validation/accuracy" in values] == [3, 6]
    assert (tmp_path / "bundle" / "bundle.json").exists()
    assert not (tmp_path / "result.json").exists()


def test_a_mistake_in_a_process_is_told_as_one(prepared, tmp_path):
    spec = Checkpoint(path=str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "none"}')
    settings = Train(max_steps=2, processes=2)
    with pytest.raises(UserError, match="cannot be loaded"):
        train_bundle(prepared, tmp_path, TASK, spec, settings, LINEAGE, seed=0, log=lambda values, step: None)
