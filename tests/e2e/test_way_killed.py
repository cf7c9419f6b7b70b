"""Processes that are killed for real, and processes that start all at once."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import REPOSITORY, write_csv

pytestmark = pytest.mark.slow
TRIALS = 20


@pytest.mark.thorough
def test_a_promotion_killed_anywhere_leaves_the_old_champion_or_the_new(house):
    house("promote", "version=1", "force=for the trials")
    command = [sys.executable, "-m", "tests.e2e.trials", str(house.root), str(TRIALS), *house.choices]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=house.environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    *trials, pair = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(trials) == TRIALS
    for trial in trials:
        assert trial["after"] in (trial["before"], 3 - trial["before"])
        assert len(trial["open"]) <= 1  # an older one was settled when this one started
    outcomes = {trial["after"] == trial["before"] for trial in trials}
    assert outcomes == {True, False}, "the kills must fall before and after the move"
    for earlier, later in itertools.pairwise(trials):
        if earlier["open"] and later["told"]:
            assert "was cut off; champion is demo:" in later["told"]
    assert pair["codes"] == [0, 0]
    assert pair["champion"] == pair["target"]
    assert any("another promotion or rollback is at work" in told for told in pair["told"])
    assert any("is the champion already" in told for told in pair["told"])


def test_six_cold_processes_at_once_all_succeed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from sluice.registry.store import Store;"
        "store = Store(Path(sys.argv[1]), None); store.experiment('promotions');"
        "print(store.client.create_run(store.experiment('cold')).info.run_id)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "mlruns")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    results = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0] * 6, results
    assert len({out.strip() for out, _ in results}) == 6


def test_a_killed_training_goes_on_in_the_same_run(tmp_path, rows_csv):
    from tests.e2e.conftest import House

    house = House(tmp_path / "mlruns", write_csv(tmp_path / "rows.csv", [*_rows(rows_csv)]))
    arguments = ["train.max_steps=400", "train.evaluations=20"]
    command = [sys.executable, "-m", "pipelines.train", *house.choices, *arguments]
    victim = subprocess.Popen(
        command, cwd=REPOSITORY, env=house.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(house.root.glob("work/finetune/*/checkpoints/checkpoint-*/trainer_state.json")):
        assert victim.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    told = house("train", *arguments)
    assert "[preprocess] unchanged" in told
    (manifest,) = house.root.glob("work/finetune/*/manifest.json")
    assert json.loads(manifest.read_text())["record"]["resumed_from"]
    from sluice.registry.store import Store

    store = Store(house.root, None)
    runs = store.client.search_runs([store.experiment("demo")])
    assert sorted(run.info.run_name.split("-")[0] for run in runs) == [
        "encoder",
        "evaluate",
        "finetune",
        "preprocess",
        "register",
    ]
    assert {run.info.status for run in runs} == {"FINISHED"}


def _rows(path):
    import csv

    with path.open(newline="") as file:
        yield from list(csv.reader(file))[1:]
