"""`make compress`: variants of a version, each measured beside it; the fastest that holds is a version itself."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from sluice.inference.bundle import Bundle
from sluice.registry.store import Store
from sluice.registry.versions import find, intact
from tests.e2e.conftest import REPOSITORY

pytestmark = pytest.mark.slow
DEEP = ("model.layers=4", "train.max_steps=60")
SPOILT = ("train.max_steps=20", "train.learning_rate=10")
LOOSE = ("compress.max_drop=1", "compress.max_slice_drop=null", "compress.max_calibration_shift=null")
DISTILL = ("compress=distill", "compress.steps=[distill,onnx]")
PRUNE = ("compress=prune", "compress.steps=[prune]")


@pytest.fixture(scope="module")
def deep(house):
    """A house whose demo:3 has four layers."""
    house("train", *DEEP)
    return house


def test_the_fastest_form_makes_a_version_with_its_lineage_and_what_it_is_worth(deep):
    told = deep("compress", *DEEP, "compress.steps=[bf16,onnx]")
    assert "demo:4 is made of demo:3. demo:4 is the challenger" in told
    assert "times: over demo:3 in PyTorch, float32, one thread, on " in told
    store = Store(deep.root, None)
    parent, version = find(store, "demo", 3), find(store, "demo", 4)
    bundle = intact(store, version)
    described = Bundle.read(bundle)
    assert described.lineage.parent == parent.digest
    assert "onnx" in described.forms
    assert described.forms["onnx"].processor
    assert described.forms["onnx"].memory
    weights = [(intact(store, one) / "model.safetensors").read_bytes() for one in (parent, version)]
    assert weights[0] == weights[1]
    card = (bundle / "README.md").read_text()
    assert "onnx of demo:3: " in card
    assert f"| variant of the digest | `{parent.digest}` |" in card
    run = store.client.get_run(version.run_id)
    assert run.info.run_name.startswith("forms-")
    assert run.data.tags["mlflow.parentRunId"] == parent.run_id
    (compared,) = store.client.search_runs([store.experiment("demo")], "attributes.run_name = 'variants'")
    assert {file.path for file in store.client.list_artifacts(compared.info.run_id)} == {"tradeoff.png", "variants.md"}
    above = f"tags.`mlflow.parentRunId` = '{compared.info.run_id}'"
    each = store.client.search_runs([store.experiment("demo")], above)
    assert {run.info.run_name for run in each} == {"bf16", "onnx"}
    assert {run.data.tags["sluice.variant_of"] for run in each} == {"demo:3"}
    assert all(run.data.metrics["variant/speed"] > 0 for run in each)


def test_doing_it_again_does_nothing(deep):
    """The challenger is the variant by now; what is compressed again is what that was made of."""
    told = deep("compress", *DEEP, "compress.steps=[bf16,onnx]")
    for stage in ("preprocess", "take", "forms", "variants", "evaluate", "register"):
        assert f"[{stage}] unchanged" in told
    assert "demo:4 is made of demo:3. demo:4 is the challenger" in told


def test_what_a_version_has_already_is_not_registered_again(deep):
    told = deep("compress", *DEEP, "version=4", "compress.steps=[onnx]")
    assert "Nothing is registered: onnx, which demo:4 has, is the fastest that holds" in told


def test_a_student_is_registered_with_what_it_is_worth(deep):
    told = deep("compress", *DEEP, *DISTILL, *LOOSE, "version=3")
    assert "[distill] done" in told
    assert "distilled torch" in told
    assert "distilled onnx" in told
    store = Store(deep.root, None)
    bundle = intact(store, find(store, "demo", 5))
    assert Bundle.read(bundle).lineage.parent == find(store, "demo", 3).digest
    assert json.loads((bundle / "config.json").read_text())["num_hidden_layers"] == 2
    assert "distilled onnx of demo:3: " in (bundle / "README.md").read_text()


def test_a_pruned_model_learns_again_and_may_be_given_another_shape(deep):
    told = deep("compress", *DEEP, *PRUNE, *LOOSE, "version=3", "compress.prune.layers=3")
    assert "left    3 layers, 64 neurons, 2 heads" in told
    assert "[recover] done" in told
    assert "demo:6 is made of demo:3" in told
    shape = ("+compress.student.config.num_hidden_layers=1", "+compress.student.config.hidden_size=16")
    told = deep("compress", *DEEP, *DISTILL[:1], "compress.steps=[distill]", *shape, *LOOSE, "version=3")
    assert "demo:7 is made of demo:3" in told
    store = Store(deep.root, None)
    config = json.loads((intact(store, find(store, "demo", 7)) / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"]) == (1, 16)


def test_a_student_that_does_not_hold_up_ends_the_plan(deep):
    told = deep("compress", "model.layers=4", *SPOILT, *DISTILL, "version=3", "compress.max_drop=0", code=1)
    assert "distilled torch is refused: lower bound of the difference in accuracy" in told
    assert "Nothing is registered: no variant holds" in told or "which demo:3 has" in told
    assert "[forms]" not in told
    assert "demo:8" not in deep("history")


def test_mistakes_are_told_before_anything_is_learnt(deep):
    told = deep("compress", *DEEP, "version=3", "data.split.seed=7", code=2)
    assert "demo:3 learnt from a split of digest" in told
    told = deep("compress", *DEEP, "version=3", "task.max_length=40", code=2)
    assert re.search(r"demo:3 was trained with task.max_length=\d+: say so here, too", told)
    told = deep("compress", *DEEP, *DISTILL, "version=3", "compress.student.layers=4", code=2)
    assert "has 4, expected fewer than that" in told
    told = deep("compress", *DEEP, "version=3", "compress.steps=[onnx,distill]", code=2)
    assert "expected each once, distill and prune before bf16, onnx, int8, openvino" in told
    told = deep("compress", *DEEP, "version=3", *DISTILL, "+compress.student.config.depth=3", code=2)
    assert "has no such setting" in told


def test_a_plan_that_is_killed_goes_on_where_it_was(deep):
    """In the midst of its learning: from its last checkpoint, and the version comes to be once."""
    asked = [*DEEP, *DISTILL, *LOOSE, "version=3", "seed=5", "train.max_steps=400", "train.checkpoints=40"]
    before = set(deep.root.glob("work/distill/*"))
    command = [sys.executable, "-m", "pipelines.compress", *deep.choices, *asked]
    with subprocess.Popen(command, cwd=REPOSITORY, env=deep.environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:  # fmt: skip
        end = time.monotonic() + 120
        while len(set(deep.root.glob("work/distill/*.partial/checkpoints/checkpoint-*"))) < 2:  # the first may be half
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert "[take] unchanged" in deep("compress", *asked)
    (folder,) = {path for path in deep.root.glob("work/distill/*") if path.is_dir()} - before
    record = json.loads((folder / "manifest.json").read_text())
    assert json.dumps(record).count('"resumed_from": null') == 0
    count = deep("history").count("demo:")
    assert "[register] unchanged" in deep("compress", *asked)
    assert deep("history").count("demo:") == count


def test_the_gate_takes_a_variant_like_any_challenger(deep):
    deep("promote", "version=3")
    told = deep("promote", "version=5", "gate.max_drop=1", "gate.max_slice_drop=1", "gate.baseline_margin=null")
    assert "gate: demo:5 against demo:3" in told
    assert "promoted: demo:5 is the champion" in told
