"""A sweep's identity, what of a command line is swept, and how its end is told."""

import math

import pytest

from pipelines.shared.results import _worth, table
from pipelines.shared.sweep import Sweep


def sweep(*arguments: str, stage: str = "train") -> Sweep:
    return Sweep(stage, arguments, "/nowhere")


def test_the_same_command_is_the_same_sweep_however_it_is_launched():
    key = sweep("-m", "seed=0,1", "train.learning_rate=3e-4,7e-4").key
    assert sweep("train.learning_rate=3e-4,7e-4", "seed=0,1", "hydra.mode=MULTIRUN").key == key
    assert (
        sweep("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", "train.learning_rate=3e-4,7e-4").key
        == key
    )
    others = [
        sweep("-m", "seed=0,1,2", "train.learning_rate=3e-4,7e-4"),
        sweep("-m", "seed=0,1", "train.learning_rate=3e-4,7e-4", stage="finetune"),
        sweep("-m", "seed=0,1", "train.learning_rate=3e-4,7e-4", "hydra.sweeper.params={model: 'tiny,small'}"),
    ]
    assert len({other.key for other in others} | {key}) == 4


def test_what_takes_several_values_is_swept():
    one = sweep("-m", "seed=0,1", "model=tiny,small", "+gate.floors.accuracy=0.5", "train.warmup=range(1,3)", "name=a")
    assert one.swept(["train.epochs"]) == ["train.epochs", "seed", "model", "train.warmup"]
    assert sweep("data.columns={text: a, label: b}", "model.path='a,b'").swept([]) == []


def outcome(number: int, validation: float | None, **more) -> dict:
    figures = (
        {}
        if validation is None
        else {"validation": validation, "test": 0.5, "metric": "accuracy"} | {"judged_by": "accuracy"}
    )
    return {"number": number, "choices": {"seed": str(number)}, "state": "done", "code": 0, **figures, **more}


def test_the_table_has_a_line_for_each_job():
    jobs = [
        outcome(0, 0.8, version=3, name="demo"),
        outcome(1, None, state="mistake"),
        outcome(2, None, state="running"),
    ]
    lines = table(jobs).splitlines()
    assert [line.split() for line in lines] == [
        ["job", "seed", "validation", "accuracy", "test", "accuracy", "state"],
        ["0", "0", "0.8000", "0.5000", "done,", "demo:3"],
        ["1", "1", "-", "-", "mistake"],
        ["2", "2", "-", "-", "cut", "off"],
    ]
    assert table(jobs, markdown=True).splitlines()[2] == "| 0 | 0 | 0.8000 | 0.5000 | done, demo:3 |"


def test_the_mean_over_folds_has_a_column_where_folds_were_asked_for():
    header, line = (text.split() for text in table([outcome(0, 0.8, cv=0.75)]).splitlines())
    assert header[-3:] == ["cv", "accuracy", "state"]
    assert line == ["0", "0", "0.8000", "0.5000", "0.7500", "done"]


def test_of_figures_of_which_less_is_better_the_least_is_the_best():
    jobs = [outcome(number, value, judged_by="nats_per_token") for number, value in enumerate((2.0, 1.5, None))]
    assert max(jobs, key=_worth)["number"] == 1
    assert "validation nats_per_token  test accuracy" in table(jobs).splitlines()[0]


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_was_not_measured_is_never_the_best(value):
    assert _worth(outcome(0, value)) < _worth(outcome(1, 0.0))
