"""The whole way as users walk it: train, gate, promote, refuse, force, roll back, verify. In this order."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from sluice.config import load_file
from sluice.inference.bundle import Bundle
from sluice.registry.store import Store
from sluice.registry.versions import find, intact
from tests.conftest import REPOSITORY
from tests.serving.live import free_port

pytestmark = pytest.mark.slow


def test_training_again_does_nothing_and_says_so(house):
    told = house("train", "train.max_steps=60")
    for stage in ("preprocess", "finetune", "evaluate", "register"):
        assert f"[{stage}] unchanged" in told
    assert "demo:1 was registered before; the challenger is demo:2. Next: make promote" in told
    assert "version=1" in told


def test_serving_before_any_promotion_is_one_line(house):
    told = house("resolve", code=2)
    assert told == "error: demo has no champion yet: run make train and make promote\n"


def test_rollback_with_nothing_promoted_is_one_line(house):
    assert len(house("rollback", code=2).splitlines()) == 1


def test_a_first_promotion_needs_no_champion(house):
    told = house("promote", "version=1")
    assert "against no champion yet" in told
    assert "promoted: demo:1 is the champion" in told
    slot = json.loads(house("resolve").splitlines()[-1])[0]
    assert (slot["name"], slot["version"], slot["alias"]) == ("demo", 1, "champion")


def test_promoting_the_champion_again_changes_nothing(house):
    assert "demo:1 is the champion already. Next: make serve" in house("promote", "version=1")


def test_a_worse_challenger_is_refused_with_reasons(house):
    told = house("promote", "version=2", "gate.max_latency_ratio=null", code=1)
    assert "REFUSE" in told
    assert "accuracy against the champion" in told
    assert "refused: demo:2 stays a challenger" in told
    assert json.loads(house("resolve").splitlines()[-1])[0]["version"] == 1


def test_force_overrules_and_is_recorded(house):
    told = house("promote", "version=2", "gate.max_latency_ratio=null", "force=two words")
    assert "forced: demo:2 is the champion" in told
    history = house("history")
    assert '"two words"' in history
    assert "accuracy against the champion" in history


def test_rollback_brings_the_version_before(house):
    assert "demo:1 is the champion, demo:2 is not" in house("rollback")
    states = [line.split()[6] for line in house("history").splitlines() if line.startswith("20")]
    assert states == ["done", "refused", "forced", "done"]


def test_bentoml_serve_in_the_repository_answers_as_the_champion(house):
    config = house.root / "work" / "serve" / "config.yaml"
    with serving(house, {"SLUICE_CONFIG": str(config)}, "serving.service:Sluice") as client:
        answer = client.post("/v1/classify", json={"input": ["the iron of tin", "apple under plum"]})
        assert answer.headers["X-Model-Version"] == "demo:1"
        assert [result["label"] for result in answer.json()["results"]] == ["metal", "fruit"]
        (model,) = client.get("/v1/models").json()["data"]
        slot = json.loads(house("resolve").splitlines()[-1])[0]
        assert (model["digests"]["bundle"], model["alias"]) == (slot["digest"], "champion")


def test_what_is_served_is_named_by_champion_alias_or_version(house):
    told = house("resolve", "serve.models=[demo,demo@challenger,'demo:2']")
    found = [(one["version"], one["alias"]) for one in json.loads(told.splitlines()[-1])]
    assert found == [(1, "champion"), (2, "challenger"), (2, None)]
    for stranger in ("demo:9", "demo@nobody", "nobody"):
        told = house("resolve", f"serve.models=['{stranger}']", code=2)
        assert stranger in told
        assert "make history" in told or "make promote" in told


def test_the_bento_of_a_promoted_version_serves_by_itself(house, tmp_path):
    with serving(house, {}, "demo:v1", folder=tmp_path) as client:
        assert client.post("/v1/classify", json={"input": "iron"}).headers["X-Model-Version"] == "demo:1"


@contextmanager
def serving(house, environment, what, folder=REPOSITORY):
    """`bentoml serve` as a user runs it; a client for it once it is ready."""
    port = free_port()
    command = [sys.executable, "-m", "bentoml", "serve", what, "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**house.environment, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_ready(client, process)
            yield client
    finally:
        process.terminate()
        assert process.wait(30) == 0


def wait_ready(client, process, path="/readyz"):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None
        try:
            if client.get(path).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError("the service did not become ready")


def test_receipts_of_every_outcome_verify(house):
    receipts = sorted((house.root / "work" / "receipts").glob("*.json"))
    assert {path.name.split("-")[2] for path in receipts} == {"promoted", "refused", "forced"}
    for path in receipts:
        assert house("verify", f"receipt={path}").rstrip().endswith("\nverified")
        assert path.with_suffix(".html").read_text().startswith("<!doctype html>")


def test_a_receipt_that_was_changed_does_not_verify(house, tmp_path):
    (path,) = (house.root / "work" / "receipts").glob("*promoted*.json")
    told = json.loads(path.read_text())
    told["evidence"]["scores"]["accuracy"] += 0.05
    (tmp_path / "receipt.json").write_text(json.dumps(told))
    assert "NOT verified" in house("verify", f"receipt={tmp_path}/receipt.json", code=1)
    told["challenger"]["bundle"] = "0" * 64
    (tmp_path / "receipt.json").write_text(json.dumps(told))
    assert "is not the receipt's" in house("verify", f"receipt={tmp_path}/receipt.json", code=2)


def test_promoting_what_is_not_there_is_one_line(house):
    assert house("promote", "version=99", code=2).count("\n") == 1


def test_mlflow_holds_the_parent_with_its_stages_and_the_lineage(house):
    store = Store(house.root, None)
    version = find(store, "demo", 1)
    run = store.client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert {"test/accuracy", "test/macro_f1", "test/ece"} <= set(run.data.metrics)
    assert 5 <= len(run.data.params) <= 20
    assert len(run.inputs.dataset_inputs) == 1
    experiment = run.info.experiment_id
    children = store.client.search_runs([experiment], f"tags.mlflow.parentRunId = '{version.run_id}'")
    assert {child.info.run_name for child in children} == {"preprocess", "finetune", "evaluate", "register"}
    assert {child.info.status for child in children} == {"FINISHED"}
    assert "| this model |" in store.client.get_model_version("demo", "1").description


def test_what_is_registered_opens_as_a_pyfunc_and_answers_as_the_service(house):
    import mlflow
    import pandas as pd

    from sluice.inference.engines.torch import TorchEngine
    from sluice.inference.predictor import Predictor

    store = Store(house.root, None)
    texts = ["the iron of tin", "apple under plum"]
    answers = mlflow.pyfunc.load_model("models:/demo@champion").predict(pd.DataFrame({"text": texts}))
    ours = Predictor(intact(store, find(store, "demo", 1)), TorchEngine()).predict(texts).results
    assert answers["label"].tolist() == [result.label for result in ours]
    assert answers["score"].tolist() == pytest.approx([result.score for result in ours], abs=1e-5)


def test_a_bundle_whose_files_changed_is_not_promoted(house):
    store = Store(house.root, None)
    folder = intact(store, find(store, "demo", 2))
    card = folder / "README.md"
    text = card.read_text()
    card.unlink()  # the file may be linked elsewhere
    card.write_text(text + "changed")
    try:
        assert "their digest differs" in house("promote", "version=2", code=2)
    finally:
        card.write_text(text)


def test_faster_forms_stand_in_the_bundle_the_card_and_mlflow(house):
    arguments = ("train.max_steps=60", "forms=onnx")
    told = house("train", *arguments)
    for stage in ("preprocess", "finetune", "evaluate"):
        assert f"[{stage}] unchanged" in told
    assert "[forms] done" in told
    assert "demo:3 is the challenger" in told
    assert "[forms] unchanged" in house("train", *arguments)
    store = Store(house.root, None)
    version = find(store, "demo", 3)
    folder = intact(store, version)
    forms = Bundle.read(folder).forms
    assert "onnx" in forms
    assert {form.file for form in forms.values()} == {path.name for path in folder.glob("*.onnx")}
    for text in (store.client.get_model_version("demo", "3").description, (folder / "README.md").read_text()):
        assert f"| onnx | {forms['onnx'].size / 1e6:.1f} | 1.0000 |" in text
    found = store.client.search_runs([store.experiment("demo")], "attributes.run_name = 'forms'")
    assert [run.data.metrics["onnx/agreement"] for run in found] == [1.0]


def test_a_version_is_a_folder_that_runs_by_itself(house, tmp_path):
    place = tmp_path / "edge"
    told = house("export", "version=3", f"output={place}")
    assert re.search(r"demo:3 \((int8|float32)\) lies in .*edge: \d+\.\d MB, \d+\.\d\d s to its first answer", told)
    assert {path.name for path in place.iterdir()} == {
        "model.json", "model.onnx", "requirements.txt", "run.py", "tokenizer.json"
    }  # fmt: skip
    assert "is there already" in house("export", "version=3", f"output={place}", code=2)
    assert "demo:2 has no ONNX form" in house("export", "version=2", f"output={tmp_path / 'other'}", code=2)
    assert "output: name the folder" in house("export", code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["edge"]


def test_mlflow_models_serve_gives_the_same_answers(house, tmp_path):
    """On the version with faster forms: both take the one that was measured to be the fastest."""
    slots = tmp_path / "slots.json"
    slots.write_text(house("resolve", "version=3").splitlines()[-1])
    texts = ["the iron of tin", "apple under plum", "a plum", "tin and iron and gold"]
    with serving(house, {"SLUICE_SLOTS": str(slots)}, "serving.service:Sluice") as client:
        answer = client.post("/v1/classify", json={"input": texts}).json()
    assert answer["model"] == "demo:3"
    with mlflow_serving(house, "models:/demo/3") as client:
        rows = {"columns": ["text"], "data": [[text] for text in texts]}
        told = client.post("/invocations", json={"dataframe_split": rows})
    theirs = told.json()["predictions"]
    assert [one["label"] for one in theirs] == [one["label"] for one in answer["results"]]
    assert [one["score"] for one in theirs] == pytest.approx([one["score"] for one in answer["results"]], abs=1e-5)


def test_other_settings_of_the_service_need_no_other_version(house):
    written = house.root / "work" / "serve" / "config.yaml"
    told = house("promote", "version=1", "serve.workers=1", "serve.traces.share=0.5")
    assert "the service's settings are new, in Bento demo:v1, too" in told
    assert "settings change from those of before: serve.workers, serve.traces" in told
    assert load_file(written).serve.traces.share == 0.5
    told = house("promote", "version=1", "serve/engine=torch", "gate.floors={accuracy: 1.01}", code=1)
    assert "refused: demo:1 is champion with the settings that it had" in told
    assert load_file(written).serve.engine.kind == "fastest"
    assert "gate: demo:1 once more" in house("promote", "version=1", "serve/engine=torch")
    assert load_file(written).serve.engine.kind == "torch"
    assert "demo:1 is the champion" in house("promote", "version=1")
    assert "has had no champion before demo:1" in house("rollback", code=2)


@contextmanager
def mlflow_serving(house, model):
    """`mlflow models serve` as a user runs it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    environment = {**house.environment, "MLFLOW_TRACKING_URI": Store(house.root, None).uri}
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=house.root,
        env={**environment, "PATH": path},  # it starts uvicorn by its name
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_ready(client, process, "/ping")
            yield client
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
