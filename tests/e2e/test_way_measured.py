"""What a training measures, as users see it: folds that survive a kill, cases, a threshold, the champion beside."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sluice.inference.bundle import Bundle
from sluice.registry.store import Store
from sluice.registry.versions import fetch, find
from tests.conftest import REPOSITORY
from tests.e2e.conftest import House

pytestmark = pytest.mark.slow

CASES = """\
cases:
  - name: metals
    kind: minimum_functionality
    texts: "the {metal} of {metal}"
    fill:
      metal: [iron, tin, gold]
    expect: metal
  - name: spaces
    kind: invariance
    texts: [the iron of tin, apple under plum]
    perturb: extra_spaces
  - name: more metal
    kind: direction
    texts: apple near plum
    add: iron tin gold
    label: metal
    expect: higher
"""
STEPS = "train.max_steps=60"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, rows_csv: Path):
    """A training with two folds that was killed in its second fold and started again; what the second start said."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "cases.yaml").write_text(CASES)
    house = House(folder / "mlruns", rows_csv)
    arguments = [
        STEPS,
        "evaluate.folds=2",
        "evaluate.min_slice_rows=10",
        f"evaluate.cases={folder}/cases.yaml",
        "evaluate.abstain={accuracy: 0.9}",
        "keep_texts=false",
    ]
    victim = subprocess.Popen(
        [sys.executable, "-m", "pipelines.train", *house.choices, *arguments],
        cwd=REPOSITORY,
        env=house.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while len(finished(house, "evaluate")) < 2 or not list(house.root.glob("work/finetune/*.partial")):
        assert victim.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    before = finished(house, "evaluate") | finished(house, "finetune")
    told = house("train", *arguments)
    yield house, arguments, before, told
    house.close()


def finished(house: House, stage: str) -> dict[Path, int]:
    """The manifests of a stage, and which file each is: another one if the stage was repeated."""
    return {path: path.stat().st_ino for path in house.root.glob(f"work/{stage}/*/manifest.json")}


def test_finished_folds_are_not_repeated_and_the_rest_goes_on(measured):
    house, arguments, before, told = measured
    after = finished(house, "evaluate") | finished(house, "finetune")
    assert len(before) == 4  # the training itself and the first fold
    assert len(after) == 6
    assert {path: after[path] for path in before} == before
    assert told.count("unchanged") >= 4
    assert "cross-validation (2 folds)" in told
    again = house("train", *arguments)
    assert "[crossvalidate] unchanged" in again
    assert "fold 1 of 2" not in again
    assert "demo:1 is the challenger" in again


def test_folds_stand_in_mlflow_under_the_training_and_in_the_card(measured):
    house = measured[0]
    store = Store(house.root, None)
    version = find(store, "demo", 1)
    parent = store.client.get_run(version.run_id)
    children = {run.info.run_name: run for run in runs_under(store, parent.info.run_id)}
    assert {"fold 1", "fold 2", "crossvalidate", "finetune", "evaluate"} <= set(children)
    folds = [one.value for one in store.client.get_metric_history(children["crossvalidate"].info.run_id, "cv/accuracy")]
    assert len(folds) == 2
    assert parent.data.metrics["cv/accuracy_mean"] == pytest.approx(sum(folds) / 2)
    assert parent.data.metrics["cv/accuracy_std"] == pytest.approx(abs(folds[0] - folds[1]) / 2**0.5)
    for name in ("fold 1", "fold 2"):
        stages = runs_under(store, children[name].info.run_id)
        assert {run.info.run_name for run in stages} == {"finetune", "evaluate"}
        assert {run.info.status for run in [*stages, children[name]]} == {"FINISHED"}
        own = next(run for run in stages if run.info.run_name == "evaluate").data.metrics["test/accuracy"]
        assert own == pytest.approx(folds[int(name[-1]) - 1])
    assert "| cross-validation (2 folds) |" in store.client.get_model_version("demo", "1").description


def runs_under(store: Store, parent: str) -> list:
    return store.client.search_runs([store.experiment("demo")], f"tags.mlflow.parentRunId = '{parent}'")


def test_every_figure_has_its_name_in_mlflow(measured):
    house = measured[0]
    store = Store(house.root, None)
    metrics = store.client.get_run(find(store, "demo", 1).run_id).data.metrics
    named = {"accuracy", "macro_f1", "mcc", "ece", "auroc", "log_loss", "aurc", "coverage", "selective_accuracy"}
    assert {f"test/{name}" for name in named} <= set(metrics)
    assert {"behaviour/minimum_functionality", "behaviour/invariance", "behaviour/direction"} <= set(metrics)


def test_the_threshold_was_chosen_on_validation_and_travels_in_the_bundle(measured):
    house = measured[0]
    store = Store(house.root, None)
    bundle = Bundle.read(fetch(store, find(store, "demo", 1)))
    (silence,) = {told["silence"]["threshold"] for told in records(house) if told["metrics"] == bundle.metrics}
    assert bundle.abstention is not None
    assert bundle.abstention.threshold == silence


def records(house: House) -> list[dict]:
    return [json.loads(path.read_text())["record"] for path in finished(house, "evaluate")]


def test_tables_and_plots_are_there_and_hold_no_text_that_may_not_be_kept(measured):
    house = measured[0]
    for manifest in finished(house, "evaluate"):
        folder = manifest.parent
        for plot in ("confusion", "reliability", "risk_coverage", "slices"):
            assert (folder / f"{plot}.png").read_bytes().startswith(b"\x89PNG")
        for table in ("errors.csv", "behaviour.csv", "slices.csv"):
            with (folder / table).open(newline="") as file:
                header = next(csv.reader(file))
            assert "text" not in header
        assert "<th>origin</th></tr>" in (folder / "samples.html").read_text()


def test_the_gate_asks_for_behaviour_and_for_figures_at_the_threshold(measured):
    house, arguments, *_ = measured
    wanted = ["gate.min_behaviour=1", "gate.floors={selective_accuracy: 0.5, in_scope_accuracy: 0.1}"]
    told = house("promote", *arguments, *wanted, code=1)
    assert "behaviour: invariance" in told
    assert "pass    selective_accuracy floor" in told
    assert "REFUSE  in_scope_accuracy floor" in told  # no label was named for it


def test_the_champion_stands_beside_the_next_training(measured):
    house, arguments, *_ = measured
    house("promote", *arguments)
    assert "demo:1, the champion, is this model" in house("evaluate", *arguments)
    plain = [one for one in arguments if "folds" not in one and one != STEPS]
    told = house("train", *plain, "train.max_steps=2")
    assert "margin over demo:1, the champion:  accuracy -" in told
    assert "[compare] unchanged" in house("train", *plain, "train.max_steps=2")
    receipt = max((house.root / "work" / "receipts").glob("*promoted*.json"))
    assert house("verify", f"receipt={receipt}").rstrip().endswith("\nverified")


@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        ("evaluate.out_of_scope=metals", "evaluate.out_of_scope=metals is no label of the training rows. Did you mean"),
        ("evaluate.slices=[label,author]", "the rows have no column 'author'"),
        ("evaluate.cases=none.yaml", "evaluate.cases=none.yaml cannot be read"),
    ],
)
def test_what_does_not_fit_the_rows_is_said_before_anything_is_trained(measured, argument: str, wanted: str):
    house = measured[0]
    told = house("train", "train.max_steps=7", argument, code=2)
    assert wanted in told
    assert "[finetune]" not in told
