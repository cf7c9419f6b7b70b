"""bf16 and OpenVINO beside the weights; and what is broken, refused for what is wrong with it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.forms import fitting, make
from sluice.compression import calibrate as calibrating
from sluice.compression.calibrate import calibrate
from sluice.compression.export import export
from sluice.compression.halve import halve
from sluice.compression.settings import Forms, Quality
from sluice.errors import UserError
from sluice.evaluation.forms import Yardstick
from sluice.evaluation.settings import Evaluate
from sluice.files import link_tree, write_json
from sluice.inference import footprint
from sluice.inference.bundle import Bundle, parameters, weights_size
from sluice.inference.engines.formed import OF_DECODERS
from sluice.inference.engines.onnx import OnnxEngine
from sluice.inference.engines.openvino import OpenvinoEngine
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.encoder import Encoder
from sluice.tasks.classification import Classification
from tests.conftest import compose_config, make_rows
from tests.model.learning import learn
from tests.model.test_compression import KINDS, Kind, inputs_of, untrained

TASK = Classification(max_length=32)
SPEC = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48, embedding_dropout=0, classifier_dropout=0)
WEIGHTS = "model.safetensors"
STRICT = Quality(max_drop=0.05, min_agreement=0.9)


def classified(count: int, seed: int = 0) -> dict[str, list[str]]:
    texts, labels = zip(*make_rows(count, seed), strict=True)
    return {"text": list(texts), "label": list(labels)}


@pytest.fixture(scope="module", params=KINDS)
def halved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Path]:
    """An untrained model in bf16 and calibrated for OpenVINO."""
    kind = KINDS[request.param]
    bundle = untrained(kind, tmp_path_factory.mktemp(request.param))
    export(bundle)
    halve(bundle)
    calibrate(bundle, list(kind.task.inputs(kind.rows)))
    return kind, bundle


def test_bf16_is_near_and_half_of_the_size(halved: tuple[Kind, Path]):
    kind, bundle = halved
    given, labels = list(kind.task.inputs(kind.rows)), Bundle.read(bundle).labels
    ours, theirs = (Predictor(bundle, TorchEngine(dtype=dtype)).outputs(given) for dtype in ("bfloat16", "float32"))
    assert kind.task.agreement(ours, theirs, labels) > 0.9
    assert (bundle / "model.bf16.safetensors").stat().st_size < 0.52 * (bundle / WEIGHTS).stat().st_size


def test_openvino_is_near_and_padding_changes_little(halved: tuple[Kind, Path]):
    kind, bundle = halved
    given, labels = inputs_of(kind), Bundle.read(bundle).labels
    openvino = Predictor(bundle, OpenvinoEngine(threads=1))
    ours, theirs = openvino.outputs(given), Predictor(bundle, TorchEngine()).outputs(given)
    assert kind.task.agreement(ours, theirs, labels) > 0.9
    scale = max(np.abs(one).max() for one in theirs if one.size)
    for one, text in zip(ours, given, strict=True):
        assert np.allclose(one, openvino.outputs([text])[0], atol=0.1 * scale)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(TASK, SPEC, classified(256), classified(40, 1), tmp_path_factory.mktemp("taught"))[1]


@pytest.fixture(scope="module")
def yardstick(taught: Path) -> Yardstick:
    return Yardstick(taught, classified(300, 2), Evaluate(resamples=100, latency_texts=8, min_slice_rows=50), 0)


def spoilt(taught: Path, folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    link_tree(taught, folder)
    weights = load_file(folder / WEIGHTS)
    change(weights)
    (folder / WEIGHTS).unlink()
    save_file(weights, folder / WEIGHTS, {"format": "pt"})
    return folder


def random(weights: dict[str, torch.Tensor]) -> None:
    torch.manual_seed(1)
    for weight in weights.values():
        weight.copy_(torch.randn_like(weight) * weight.std())


def no_number(weights: dict[str, torch.Tensor]) -> None:
    weights["classifier.weight"][0, 0] = torch.nan


def swapped(weights: dict[str, torch.Tensor]) -> None:
    for name in ("classifier.weight", "classifier.bias"):
        if name in weights:
            weights[name].copy_(weights[name].flip(0))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (random, r"agreement 0\.\d+, expected at least 0.9"),
        (swapped, r"agreement 0\.\d+, expected at least 0.9"),
        (no_number, "300 outputs are no finite numbers"),
    ],
)
def test_what_is_broken_is_refused_for_the_right_reason(
    taught: Path, yardstick: Yardstick, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], None], why: str
):
    form = yardstick.measure(None, TorchEngine(), spoilt(taught, tmp_path / "spoilt", change))
    refusal = STRICT.refusal(form)
    assert refusal
    assert re.fullmatch(why, refusal)


def test_a_drop_that_only_one_label_suffers_is_seen_in_its_slice(taught: Path, yardstick: Yardstick, tmp_path: Path):
    """One label is never said: accuracy by itself may be let fall that far, the slice not."""

    def deaf(weights: dict[str, torch.Tensor]) -> None:
        weights["classifier.weight"][0] = 0
        if "classifier.bias" in weights:
            weights["classifier.bias"][0] = -100

    form = yardstick.measure(None, TorchEngine(), spoilt(taught, tmp_path / "spoilt", deaf))
    assert form.worst
    loose = Quality(max_drop=1, max_calibration_shift=None, max_slice_drop=0.05)
    assert "surely below -0.05" in str(loose.refusal(form))
    assert (
        Quality(max_drop=1, max_slice_drop=None, max_calibration_shift=0.01).refusal(
            form.model_copy(update={"calibration": 0.02})
        )
        == "calibration error +0.0200, expected at most +0.01"
    )


def test_the_weights_are_as_good_and_as_fast_as_themselves(taught: Path, yardstick: Yardstick):
    form = yardstick.measure(None, TorchEngine(), memory=True)
    assert (form.agreement, form.difference.value, form.calibration, form.broken) == (1, 0, 0, 0)
    assert form.processor
    assert form.together
    assert form.memory
    assert form.memory > 100e6  # PyTorch alone
    assert STRICT.refusal(form) is None
    assert parameters(taught) == sum(one.numel() for one in load_file(taught / WEIGHTS).values())


def test_a_graph_takes_less_memory_than_pytorch(taught: Path, tmp_path: Path):
    link_tree(taught, tmp_path / "bundle")
    export(tmp_path / "bundle")
    encoded = Predictor(taught, TorchEngine()).encode(["iron gate"])
    engines = (TorchEngine(threads=1), OnnxEngine(threads=1))
    with_torch, without = (footprint.peak(tmp_path / "bundle", engine, encoded) for engine in engines)
    assert with_torch
    assert without
    assert without < with_torch / 2
    with pytest.raises(RuntimeError, match=r"torch float32 by itself ended with 1: .*is not a bundle"):
        footprint.peak(tmp_path / "none", TorchEngine(), encoded)


def test_nothing_is_reported_to_the_makers_of_openvino():
    """Each import would be, by a package that it brings along."""
    code = """
import sys
from sluice.inference.engines.openvino import silence
silence()
import openvino, nncf
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__, sys.modules["openvino_telemetry"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1].endswith("telemetry_stub None")


def test_all_forms_are_made_and_only_what_was_asked_for_stays(taught: Path, tmp_path: Path):
    bundle = tmp_path / "bundle"
    link_tree(taught, bundle)
    cfg = compose_config("data=files", "data.train=x.csv", "evaluate.resamples=100", "evaluate.latency_texts=8")
    settings = Forms(names=("bf16", "int8", "openvino"), min_agreement=0, max_drop=1)
    rows = classified(100, 3)
    record = make(settings, cfg, rows, list(rows["text"]), bundle)
    assert list(record["forms"]) == ["bf16", "int8", "openvino"]
    assert {path.name for path in bundle.iterdir()} >= {"model.bf16.safetensors", "model.int8.onnx", "openvino.bin"}
    assert not (bundle / "model.onnx").exists()
    assert weights_size(bundle) == (bundle / WEIGHTS).stat().st_size
    assert Bundle.read(bundle).forms["openvino"].size > (bundle / "openvino.bin").stat().st_size


def test_what_is_missing_is_told_in_a_line(taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="scaled by training rows, and there are 3, expected at least 50"):
        calibrate(taught, ["a", "b", "c"])
    with pytest.raises(UserError, match=r"has no openvino.xml: .*make compress.*serve/engine=torch"):
        Predictor(taught, OpenvinoEngine())
    monkeypatch.setattr(calibrating, "find_spec", lambda name: None if name == "nncf" else name)
    with pytest.raises(UserError, match=r"nncf is not installed: pip install 'sluice\[openvino\]'"):
        calibrate(taught, ["a"] * 50)
    with pytest.raises(UserError, match="openvino cannot be made: nncf is not installed"):
        fitting(("openvino",), taught, 500)
    assert "openvino" not in fitting(None, taught, 500)
    link_tree(taught, tmp_path / "several")
    (tmp_path / "several" / WEIGHTS).rename(tmp_path / "several" / "model-00001-of-00002.safetensors")
    with pytest.raises(UserError, match="lie in several files"):
        halve(tmp_path / "several")


def test_the_forms_that_fit_depend_on_the_task(tmp_path: Path, taught: Path):
    assert set(fitting(None, taught, 500)) >= {"onnx", "int8"}
    link_tree(taught, tmp_path / "writes")
    write_json(tmp_path / "writes" / "bundle.json", {
        **Bundle.read(taught).model_dump(mode="json"), "task": "causal_lm", "fields": {}})  # fmt: skip
    assert "openvino" not in fitting(None, taught, 49)
    assert set(fitting(None, tmp_path / "writes", 500)) == set(OF_DECODERS)
    with pytest.raises(UserError, match="onnx cannot be made: a model of task=causal_lm can have genai, genai_int8"):
        fitting(("onnx",), tmp_path / "writes", 500)
