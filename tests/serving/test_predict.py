"""`make predict` beside the live service: the same answers, and a kill costs one block at most."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from sluice.files import folder_digest
from sluice.registry.runs import open_run
from sluice.registry.store import Store
from sluice.registry.versions import CHAMPION, move_alias, register
from tests.serving.conftest import ROWS
from tests.serving.live import ROOT

pytestmark = pytest.mark.slow
COUNT, BLOCK = 1500, 30
EMPTY = len(range(0, COUNT, 97))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """A registry whose champion is the bundle that the service serves."""
    root = tmp_path_factory.mktemp("house") / "mlruns"
    store = Store(root, None)
    folder = Path(shutil.copytree(bundle, root.parent / "bundle"))
    with open_run(store, "apidocs", "made by hand", "made by hand") as run:
        version = register(store, run, "apidocs", folder, key="k", digest=folder_digest(folder), card="")
    move_alias(store, "apidocs", CHAMPION, version.number)
    return root


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of many lengths, some empty, beside a column that nobody reads."""
    rng = random.Random(0)
    words = [word for texts in ROWS.values() for text in texts for word in text.split()]
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "text"])
        for number in range(COUNT):
            text = " ".join(rng.choices(words, k=rng.randint(1, 60)))
            writer.writerow([number, text if number % 97 else " "])
    return path


def arguments(root: Path, rows: Path, output: Path, *more: str) -> list[str]:
    given = [f"root={root}", f"input={rows}", f"output={output}", f"predict.block_rows={BLOCK}", *more]
    return [sys.executable, "-m", "pipelines.predict", *given]


def predict(root: Path, rows: Path, output: Path, *more: str, code: int = 0) -> str:
    """Run the command; what it said, without the progress bar."""
    done = subprocess.run(arguments(root, rows, output, *more), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_the_answers_are_those_of_the_service(root: Path, rows: Path, client: httpx.Client, tmp_path: Path):
    told = predict(root, rows, tmp_path / "out.parquet", "predict.scores=true")
    assert f"{COUNT:,}, {EMPTY} of them empty, without a prediction" in told
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [int(row["number"]) for row in table] == list(range(COUNT))
    asked = [row for row in table if row["text"].strip()]
    assert len(asked) == COUNT - EMPTY
    for start in range(0, 640, 64):
        part = asked[start : start + 64]
        answer = client.post("/v1/classify", json={"input": [row["text"] for row in part]})
        for row, result in zip(part, answer.json()["results"], strict=True):
            assert row["predicted_label"] == result["label"]
            assert row["predicted_score"] == pytest.approx(result["score"], abs=1e-6)
            for label, score in result["scores"].items():
                assert row[f"predicted_scores_{label}"] == pytest.approx(score, abs=1e-6)
    empty = [row for row in table if not row["text"].strip()]
    assert {row["predicted_label"] for row in empty} == {None}


@pytest.mark.thorough
def test_a_killed_prediction_goes_on_to_the_same_bytes(root: Path, rows: Path, tmp_path: Path):
    """Killed twice among the blocks: parts that were done stay as they were, and the output is that of one go."""
    parts = root / "work" / "predict"
    before = {path.name for path in parts.glob("*")}
    for share in (0.2, 0.6):
        process = subprocess.Popen(
            arguments(root, rows, tmp_path / "killed.csv"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        while len(_parts(parts, before)) < COUNT / BLOCK * share:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        done = {path.name: path.stat().st_mtime_ns for path in _parts(parts, before)}
        assert 0 < len(done) < COUNT / BLOCK
        assert not (tmp_path / "killed.csv").exists()
    told = predict(root, rows, tmp_path / "killed.csv")
    assert f"{len(done)} of {COUNT // BLOCK} parts taken over" in told
    after = {path.name: path.stat().st_mtime_ns for path in _parts(parts, before)}
    assert {name: after[name] for name in done} == done
    assert "unchanged" in predict(root, rows, tmp_path / "killed.csv")
    assert len(finished(root, "killed.csv")) == 1, "killed and taken up again: one run"
    elsewhere = tmp_path / "other" / "rows.csv"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(rows.read_bytes())
    parts.rename(parts.with_name("predict-before"))
    told = predict(root, elsewhere, tmp_path / "whole.csv")
    assert "taken over" not in told
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "killed.csv").read_bytes()


def test_what_stands_in_the_output_is_not_lost_by_mistake(root: Path, rows: Path, tmp_path: Path):
    output = tmp_path / "out.jsonl"
    output.write_text("mine\n")
    told = predict(root, rows, output, code=2)
    assert "exists and holds something else" in told
    assert "predict.overwrite=true" in told
    assert output.read_text() == "mine\n"
    predict(root, rows, output, "predict.overwrite=true")
    assert output.read_text().count("\n") == COUNT


def test_one_run_a_prediction_says_what_was_read_and_by_which_model(root: Path, rows: Path, tmp_path: Path):
    predict(root, rows, tmp_path / "told.csv")
    (run,) = finished(root, "told.csv")
    assert (run.data.params["version"], run.data.metrics["rows"]) == ("apidocs:1", COUNT)


def finished(root: Path, output: str) -> list[Any]:
    """The MLflow runs of predictions that made this file."""
    store = Store(root, None)
    runs = store.client.search_runs([store.experiment("apidocs")], "tags.`sluice.type` = 'predict'")
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    return [run for run in runs if run.info.status == "FINISHED" and run.data.params["output"] == output]


def _parts(folder: Path, before: set[str]) -> list[Path]:
    return [path for one in folder.glob("*") if one.name not in before for path in one.glob("part-*.parquet")]
