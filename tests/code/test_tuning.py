"""The space of a study, and the study itself over kills and over processes."""

import math
import os
import signal
import subprocess
import sys
import time

import pytest
from pydantic import ValidationError

from sluice.tuning.settings import Dimension, Pruner, Tune
from sluice.tuning.study import Pruned, Study
from tests.code.test_project import mistake
from tests.conftest import REPOSITORY, compose_config

SPACE = {"train": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, "model": {"choices": ["tiny", "small"]}}


def study(folder, trials: int = 4, **settings) -> Study:
    """A study over two settings that prunes nothing unless told to."""
    settings = {"pruner": Pruner(kind="none"), "random_trials": 2, **settings}
    return Study(folder, "demo-tuned", "k" * 64, Tune(trials=trials, space=SPACE, **settings), 0, "validation/accuracy")


def finish(study: Study) -> list[dict]:
    """Do what is left, with the learning rate as the objective."""
    done = []
    while trial := study.take(math.inf):
        trial.end(trial.choices["train.learning_rate"])
        done.append(trial.choices)
    return done


def test_a_space_is_written_nested_or_with_dots():
    nested = Tune(space={"train": {"warmup": {"low": 0, "high": 0.5}, "epochs": {"choices": [1, 2]}}})
    assert nested == Tune(space={"train.warmup": {"low": 0, "high": 0.5}, "train.epochs": {"choices": [1, 2]}})
    assert set(compose_config().tune.space) > {"train.learning_rate"}


@pytest.mark.parametrize(
    ("dimension", "wanted"),
    [
        ({"low": 1}, "needs both low and high"),
        ({"low": 2, "high": 1}, "low=2 must be below high=1"),
        ({"low": 0, "high": 1, "log": True}, "log needs low above 0"),
        ({"low": 0, "high": 4, "step": 0.5}, "write low=0.0"),
        ({"low": 0, "high": 4, "choices": [1, 2]}, "not both"),
        ({"choices": [1]}, "at least two"),
        ({"choices": [1, 1]}, "each once"),
    ],
)
def test_a_dimension_that_makes_no_sense_is_refused(dimension: dict, wanted: str):
    with pytest.raises(ValidationError, match=wanted):
        Dimension(**dimension)


def test_drawn_values_are_short_and_within_the_range():
    dimension = Dimension(low=0.123456, high=0.99999)
    assert [dimension.settle(value) for value in (0.1234561, 0.5555555, 0.999988)] == [0.1235, 0.5556, 0.99999]
    assert Dimension(choices=("a", 1)).settle("a") == "a"
    whole = Dimension(low=1, high=9, step=2)
    assert [whole.holds(value) for value in (1, 4, 9, 3.0, True, None)] == [True, False, True, False, False, False]


def test_a_study_ends_at_its_trials_and_can_be_extended(tmp_path):
    first = finish(study(tmp_path))
    assert len(first) == 4
    assert len({str(choices) for choices in first}) == 4
    assert finish(study(tmp_path)) == []
    assert len(finish(study(tmp_path, trials=6))) == 2
    best, value = study(tmp_path).best()
    assert value == max(one.params["train.learning_rate"] for one in study(tmp_path).outcomes()) == best.value


def test_the_draws_do_not_depend_on_restarts(tmp_path):
    whole = finish(study(tmp_path / "whole"))
    parts = [*finish(study(tmp_path / "parts", trials=1)), *finish(study(tmp_path / "parts", trials=3))]
    assert [*parts, *finish(study(tmp_path / "parts"))] == whole


def test_the_first_trial_is_what_the_command_line_says(tmp_path):
    one = study(tmp_path)
    one.begin_with({"train.learning_rate": 0.005, "model": "base"})  # base is not in the space
    one.begin_with({"train.learning_rate": 0.006, "model": "tiny"})
    first = one.take(math.inf)
    assert first.choices["train.learning_rate"] == 0.005
    assert first.choices["model"] in ("tiny", "small")


CUT = """
import math, sys, time
from pathlib import Path
from tests.code.test_tuning import study
trial = study(Path(sys.argv[1])).take(math.inf)
print(trial.number, trial.choices, flush=True)
time.sleep(600)
"""


def test_a_trial_cut_off_is_taken_up_with_its_settings_and_a_live_one_is_not(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", CUT, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.stdout.readline() for process in processes]
    assert sorted(line.split()[0] for line in told) == ["0", "1"]
    try:
        here = study(tmp_path, trials=3)
        third = here.take(math.inf)
        assert third.number == 2
        third.end(0.1)
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        again = here.take(time.monotonic() + 60)
        assert f"{again.number} {again.choices}" == told[0].strip()
        again.end(0.2)
        assert here.take(time.monotonic() + 1.5) is None, "the other process is still at the last one"
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [f"{trial.number} {trial.choices}" for trial in [here.take(math.inf)]] == [told[1].strip()]


def test_a_trial_that_does_badly_is_pruned_and_counts_one_that_fails_does_not(tmp_path):
    one = study(tmp_path, pruner=Pruner(startup_trials=1))
    good = one.take(math.inf)
    good.watch({"validation/accuracy": 0.9}, 10)
    good.watch({"train/loss": 0.1}, 15)
    good.end(0.9)
    bad = one.take(math.inf)
    with pytest.raises(Pruned, match="step 10"):
        bad.watch({"validation/accuracy": 0.1}, 10)
    bad.prune()
    one.take(math.inf).fail("no memory")
    assert [(outcome.state, outcome.value) for outcome in one.outcomes()] == [
        ("done", 0.9),
        ("pruned", 0.1),
        ("failed", None),
    ]
    assert len(finish(one)) == 2


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ["+tune.space.train.lerning_rate={low: 0, high: 1}"],
            "tune.space: unknown setting train.lerning_rate. Did you mean learning_rate?",
        ),
        (["+tune.space.train.accumulation={low: 0, high: 2}"], "tune.space: train.accumulation=0: Input should be"),
        (["+tune.space.model={choices: [tiny, smal]}"], "tune.space: In 'config': Could not find 'model/smal'"),
        (["+tune.space.gate.max_drop={low: 0, high: 1}"], "gate.max_drop cannot be tuned: it says nothing"),
        (["+tune.space.data.mask={choices: [true, false]}"], "data.mask cannot be tuned: trials would be judged"),
        (["tune.space.train.weight_decay.low=0.5"], "low=0.5 must be below high=0.3"),
        (["tune.save_as=best.yml"], "expected the name of a .yaml file"),
        (["tune.save_as=conf/experiment/quick.yaml"], "quick.yaml exists and is not as make tune left it"),
    ],
)
def test_a_mistake_in_the_space_is_found_before_the_first_trial(arguments, wanted, tmp_path, capfd):
    assert wanted in mistake(capfd, *arguments, f"root={tmp_path}/out", stage="tune")
    assert not (tmp_path / "out" / "work" / "tune").exists()
