"""`make compress`: a version teaches a smaller one, which is a version itself where it holds up."""

import json

import pytest

from sluice.inference.bundle import Bundle
from sluice.registry.store import Store
from sluice.registry.versions import find, intact

pytestmark = pytest.mark.slow
DEEP = ("model.layers=4", "train.max_steps=60")
SPOILT = ("train.max_steps=20", "train.learning_rate=10")


@pytest.fixture(scope="module")
def deep(house):
    """A house whose demo:3 has four layers."""
    house("train", *DEEP)
    return house


def test_a_student_is_registered_with_its_lineage_and_what_it_is_worth(deep):
    told = deep("compress", *DEEP, "compress.max_drop=1")
    assert "[distill] done" in told
    assert "student torch" in told
    assert "demo:4, taught by demo:3, is the challenger" in told
    store = Store(deep.root, None)
    teacher, version = find(store, "demo", 3), find(store, "demo", 4)
    bundle = intact(store, version)
    assert Bundle.read(bundle).lineage.teacher == teacher.digest
    assert json.loads((bundle / "config.json").read_text())["num_hidden_layers"] == 2
    card = (bundle / "README.md").read_text()
    assert "A student of demo:3: " in card
    assert f"| teacher's digest | `{teacher.digest}` |" in card
    run = store.client.get_run(version.run_id)
    assert run.info.run_name.startswith("distill-")
    assert run.data.tags["mlflow.parentRunId"] == teacher.run_id
    found = store.client.search_runs([store.experiment("demo")], "attributes.run_name = 'compress'")
    assert [run.data.metrics.keys() for run in found] == [{"student_torch/difference", "student_torch/speed"}]
    assert {file.path for file in store.client.list_artifacts(found[0].info.run_id)} == {"compress.md", "tradeoff.png"}


def test_doing_it_again_does_nothing(deep):
    told = deep("compress", *DEEP, "compress.max_drop=1", "version=3")
    for stage in ("preprocess", "distill", "compress", "evaluate", "register"):
        assert f"[{stage}] unchanged" in told
    assert "demo:4, taught by demo:3" in told


def test_a_student_that_does_not_hold_up_is_refused(deep):
    told = deep("compress", "model.layers=4", *SPOILT, "version=3", "compress.max_drop=0", code=1)
    assert "refused: lower bound of the difference in accuracy" in told
    assert "Nothing is registered" in told
    assert "demo:5" not in deep("history")


def test_mistakes_are_told_before_anything_is_learnt(deep):
    told = deep("compress", *DEEP, "version=4", code=2)
    assert "demo:4 was taught itself: name the version that is to teach, version=" in told
    told = deep("compress", *DEEP, "version=3", "data.split.seed=7", code=2)
    assert "demo:3 learnt from other rows" in told
    assert "has 4, expected fewer than that" in deep(
        "compress", *DEEP, "version=3", "compress.student.layers=4", code=2
    )


def test_the_gate_takes_a_student_like_any_challenger(deep):
    deep("promote", "version=3")
    told = deep("promote", "version=4", "gate.max_drop=1", "gate.max_slice_drop=1", "gate.baseline_margin=null")
    assert "gate: demo:4 against demo:3" in told
    assert "promoted: demo:4 is the champion" in told
