"""Sweeps and studies as users run them: several trainings under one run, killed and gone on, shared by processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sluice.registry.store import Store
from sluice.registry.versions import CHALLENGER, lookup
from tests.conftest import REPOSITORY
from tests.e2e.conftest import House

pytestmark = pytest.mark.slow
PARENT = "mlflow.parentRunId"


@pytest.fixture
def own(tmp_path, rows_csv):
    """A house that no other test has been in."""
    house = House(tmp_path / "mlruns", rows_csv)
    yield house
    house.close()


def runs(house: House) -> dict[str, list]:
    """All runs by the run above them; those with none under ''."""
    store = Store(house.root, None)
    found: dict[str, list] = {}
    for run in store.client.search_runs([store.experiment("demo")], max_results=1000):
        found.setdefault(run.data.tags.get(PARENT, ""), []).append(run)
    return found


def start(house: House, stage: str, *arguments: str) -> subprocess.Popen:
    """A command in a process group of its own."""
    command = [sys.executable, "-m", f"pipelines.{stage}", *arguments]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=REPOSITORY, env=house.environment, start_new_session=True, **pipe)


def finished(house: House, stage: str) -> dict[str, int]:
    """The stage's finished folders, and which file says so: another one if it was made again."""
    return {path.parent.name: path.stat().st_ino for path in (house.root / "work" / stage).glob("*/manifest.json")}


def test_a_sweep_is_one_run_with_a_table_and_its_best_is_the_challenger(own):
    arguments = ["hydra.mode=MULTIRUN", "seed=0,1", "train.learning_rate=7e-4,1e-5,-1"]
    told = own("train", *arguments, code=2)
    assert told.count("train.learning_rate=-1: Input should be greater than 0") == 2
    table = [line.split() for line in told.splitlines() if line.endswith("mistake") or ", demo:" in line]
    assert len(table) == 6
    assert [line[-1] for line in table[4:]] == ["mistake", "mistake"]
    values = [float(line[3]) for line in table[:4]]
    assert values == sorted(values, reverse=True)
    best = table[0][-1]
    assert f"{best} is the challenger: best accuracy on validation" in told
    assert str(lookup(Store(own.root, None), "demo", CHALLENGER)) == best
    (sweep,) = runs(own)[""]
    assert (sweep.info.run_name.split("-")[0], sweep.info.status) == ("sweep", "FAILED")
    trainings = runs(own)[sweep.info.run_id]
    assert {(run.data.params["seed"], float(run.data.params["train.learning_rate"])) for run in trainings} == {
        (seed, rate) for seed in "01" for rate in (7e-4, 1e-5)
    }
    for run in trainings:
        assert {"validation/accuracy", "test/accuracy"} <= run.data.metrics.keys()
        assert run.info.status == "FINISHED"
    before = finished(own, "finetune")
    again = own("train", *arguments, code=2)
    assert again.count("[finetune] unchanged") == 4
    assert finished(own, "finetune") == before
    assert [run.info.run_id for run in runs(own)[""]] == [sweep.info.run_id]


@pytest.mark.thorough
def test_cold_processes_at_once_killed_and_gone_on_in_the_same_sweep(own):
    arguments = ["-m", *own.choices, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1,2"]
    sweep = start(own, "train", *arguments)
    deadline = time.monotonic() + 200
    while not finished(own, "finetune"):
        assert sweep.poll() is None, sweep.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    done = finished(own, "finetune")
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    again = start(own, "train", *arguments)
    told = again.communicate(timeout=250)[0]
    assert again.returncode == 0, told
    assert len([line for line in told.splitlines() if ", demo:" in line]) == 3
    assert done.items() <= finished(own, "finetune").items()
    assert len(finished(own, "finetune")) == 3
    (above,) = runs(own)[""]
    assert {run.info.status for found in runs(own).values() for run in found} == {"FINISHED"}
    assert sorted(run.data.params["seed"] for run in runs(own)[above.info.run_id]) == ["0", "1", "2"]


def study(house: House, recipe: Path, *more: str) -> list[str]:
    pruner = ["tune.pruner.startup_trials=1", "tune.random_trials=3", "train.max_steps=40", "train.evaluations=8"]
    return [*house.choices, f"tune.save_as={recipe}", "tune.trials=5", *pruner, *more]


def test_a_study_killed_and_shared_ends_with_a_recipe_that_train_takes(own, tmp_path):
    recipe = tmp_path / "conf" / "experiment" / "found.yaml"
    arguments = study(own, recipe, "tune.space.train.learning_rate.low=1e-6")
    first, second = start(own, "tune", *arguments), start(own, "tune", *arguments)
    deadline = time.monotonic() + 200
    while not list(own.root.glob("work/finetune/*.partial/checkpoints/checkpoint-*/trainer_state.json")):
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    told = second.communicate(timeout=280)[0]
    assert second.returncode == 0, told
    assert "was cut off and goes on" in told
    assert "5 trials: " in told
    assert "0 failed" in told
    assert list((own.root / "work" / "finetune").glob("*.partial")) == [], "a pruned trial leaves nothing half done"
    (above,) = runs(own)[""]
    trials = runs(own)[above.info.run_id]
    assert sorted(run.data.tags["sluice.trial"] for run in trials) == list("01234")
    states = sorted(run.info.status for run in trials)
    pruned = told.split("5 trials: ")[1].split(" pruned")[0].split(", ")[-1]
    assert states == ["FINISHED"] * (5 - int(pruned)) + ["KILLED"] * int(pruned)
    for run in trials:
        assert 1e-6 <= float(run.data.params["train.learning_rate"]) <= 3e-3
        assert "validation/accuracy" in run.data.metrics
        assert "test/accuracy" not in run.data.metrics
    trained = own.environment | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "pipelines.train", f"hydra.searchpath=[file://{recipe.parents[1]}]"]
    command += ["experiment=found", f"root={own.root}", "evaluate.resamples=100"]
    done = subprocess.run(command, cwd=REPOSITORY, env=trained, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[finetune] unchanged" in done.stdout
    assert "demo:1 is the challenger" in done.stdout


def test_a_recipe_that_somebody_changed_is_left_alone(own, tmp_path):
    recipe = tmp_path / "found.yaml"
    arguments = study(own, recipe, "tune.trials=1", "train.max_steps=2")[len(own.choices) :]
    own("tune", *arguments)
    assert "unchanged" in own("tune", *arguments, "tune.trials=2")
    changed = recipe.read_text().replace("weight_decay", "weight_decay ")
    recipe.write_text(changed)
    assert "exists and is not as make tune left it" in own("tune", *arguments, code=2)
    assert recipe.read_text() == changed
