"""Faster forms: the same answers as the model's own weights, or nothing that is kept."""

import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from pipelines.forms import make
from sluice.compression import export as exporting
from sluice.compression import quantize as quantizing
from sluice.compression.export import export, obstacle
from sluice.compression.quantize import quantize
from sluice.compression.settings import Forms
from sluice.errors import UserError
from sluice.evaluation.latency import speed
from sluice.evaluation.report import markdown_of_forms, table_of_forms
from sluice.inference.bundle import Bundle, Estimate, Form, Lineage
from sluice.inference.engines.onnx import FILES, OnnxEngine
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.checkpoint import Checkpoint
from sluice.models.encoder import Encoder
from sluice.models.shared_encoder import SharedEncoder
from sluice.models.spec import ModelSpec
from sluice.tasks.classification import Classification
from sluice.tasks.embedding import Embedding
from sluice.tasks.multilabel import Multilabel
from sluice.tasks.pair_classification import PairClassification
from sluice.tasks.regression import Regression
from sluice.tasks.task import Columns, Task
from sluice.tasks.token_classification import TokenClassification
from sluice.tasks.vectors import VectorOptions
from tests.conftest import compose_config, make_rows
from tests.model.test_multilabel import make_rows as labelled
from tests.model.test_pair_classification import make_rows as compared
from tests.model.test_token_classification import make_rows as tagged
from tests.model.test_vectors import pairs

SPEC = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48)
LENGTH = 200
"""Longer than the window of a local attention."""
CUT: dict[str, Any] = {"truncation": True, "max_length": LENGTH}


def classified(count: int) -> Columns:
    texts, labels = zip(*make_rows(count), strict=True)
    return {"text": list(texts), "label": list(labels)}


def scratch(folder: Path, rows: Columns) -> ModelSpec:
    return SPEC


def bert(folder: Path, rows: Columns) -> ModelSpec:
    """A checkpoint of another architecture, with absolute positions and token types."""
    from transformers import BertConfig, BertModel

    tokenizer = SPEC.tokenizer(rows["text"], LENGTH)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=LENGTH, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Checkpoint(path=str(folder))


def shared(folder: Path, rows: Columns) -> ModelSpec:
    """Three layers that are one."""
    return SharedEncoder(vocabulary=400, embedding=64, hidden=64, layers=3, heads=2, feed_forward=256)


@dataclass(frozen=True)
class Kind:
    task: Task
    rows: Columns
    spec: Callable[[Path, Columns], ModelSpec] = scratch


KINDS = {
    "classification": Kind(Classification(max_length=LENGTH), classified(50)),
    "bert": Kind(Classification(max_length=LENGTH), classified(50), bert),
    "token_classification": Kind(TokenClassification(max_length=LENGTH), tagged(50)),
    "embedding": Kind(Embedding(max_length=LENGTH), pairs(50)),
    "pairs": Kind(PairClassification(max_length=LENGTH), compared(50)),
    "multilabel": Kind(Multilabel(max_length=LENGTH), labelled(50)),
    "shared": Kind(Classification(max_length=LENGTH), classified(50), shared),
}


def untrained(kind: Kind, folder: Path) -> Path:
    """A bundle of weights as they were drawn."""
    import torch

    torch.manual_seed(0)
    task, rows, bundle = kind.task, kind.rows, folder / "bundle"
    spec, labels = kind.spec(folder / "checkpoint", rows), task.labels(rows)
    tokenizer = spec.tokenizer(task.corpus(rows), LENGTH)
    ids = [one.ids for one in task.encode(tokenizer, task.inputs(rows))]
    spec.model(task.model_class(), task.head(labels), tokenizer, ids).save_pretrained(bundle)
    tokenizer.save_pretrained(bundle)
    lineage = Lineage(data="d", split="s", config="c", git="none")
    Bundle(task=task.name, fields=task.model_dump(), labels=tuple(labels), lineage=lineage).write(bundle)
    return bundle


@pytest.fixture(scope="module", params=KINDS)
def formed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Path]:
    """An untrained model with both forms beside its weights."""
    kind = KINDS[request.param]
    bundle = untrained(kind, tmp_path_factory.mktemp(request.param))
    export(bundle)
    quantize(bundle)
    return kind, bundle


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(KINDS["classification"], tmp_path_factory.mktemp("plain"))


def inputs_of(kind: Kind) -> list[Any]:
    """Rows, and texts of no words and of too many."""
    given = list(kind.task.inputs(kind.rows))
    if not isinstance(given[0], str):
        return given
    return [*given, "", "near the old iron gate " * 60, "a"]


def test_the_graph_computes_what_the_task_reads_of_the_model(formed: tuple[Kind, Path]):
    kind, bundle = formed
    given = inputs_of(kind)
    for some in (given, given[:1], given[-3:]):
        ours, theirs = (Predictor(bundle, engine).outputs(some) for engine in (OnnxEngine(), TorchEngine()))
        for one, other in zip(ours, theirs, strict=True):
            assert one.shape == other.shape
            assert np.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("formed", ["classification", "token_classification", "embedding"], indirect=True)
def test_onnxruntime_needs_neither_pytorch_nor_transformers(formed: tuple[Kind, Path]):
    kind, bundle = formed
    given = [one for one in inputs_of(kind) if isinstance(one, str)] or [kind.task.example]
    code = """
import sys
from pathlib import Path
from sluice.inference.engines.onnx import OnnxEngine
from sluice.inference.predictor import Predictor
found = Predictor(Path(sys.argv[1]), OnnxEngine()).predict(sys.argv[2:])
print([name for name in ("torch", "transformers") if name in sys.modules], found.tokens)
"""
    done = subprocess.run([sys.executable, "-c", code, bundle, *given], capture_output=True, text=True, check=True)
    tokens = sum(len(ids) for ids in AutoTokenizer.from_pretrained(bundle)(given, **CUT)["input_ids"])
    assert done.stdout.strip() == f"[] {tokens}"


def test_an_int8_answer_does_not_depend_on_its_neighbours(formed: tuple[Kind, Path]):
    kind, bundle = formed
    engine, given = OnnxEngine(precision="int8", threads=1), inputs_of(kind)
    assert (engine.together, OnnxEngine().together) == (1, None)
    predictor = Predictor(bundle, engine)
    together, backwards = predictor.outputs(given), predictor.outputs(given[::-1])[::-1]
    for text, one, other in zip(given, together, backwards, strict=True):
        assert np.array_equal(one, other)
        assert np.array_equal(one, predictor.outputs([text])[0])
    # Nor where a caller has more than one in a pass, whose outputs may differ in length.
    forward, options = engine.load(bundle, kind.task), kind.task.Options()
    tokens = [[5, 6, 7, 8], [9], [5, 6]]
    for ids, one in zip(tokens, forward(tokens, options), strict=True):
        (alone,) = forward([ids], options)
        assert np.array_equal(one[: len(alone)], alone)


def test_int8_is_near_and_a_quarter_of_the_size(formed: tuple[Kind, Path]):
    kind, bundle = formed
    given, labels = list(kind.task.inputs(kind.rows)), Bundle.read(bundle).labels
    engines = (OnnxEngine(precision="int8"), TorchEngine())
    ours, theirs = (Predictor(bundle, engine).outputs(given) for engine in engines)
    assert kind.task.agreement(ours, theirs, labels) > 0.9
    assert kind.task.agreement(theirs, theirs, labels) == pytest.approx(1)
    sizes = [(bundle / FILES[precision]).stat().st_size for precision in ("int8", "float32")]
    assert sizes[0] < 0.6 * sizes[1]  # so small a graph is mostly no weights


@pytest.mark.parametrize("formed", ["embedding"], indirect=True)
def test_options_count_with_every_engine(formed: tuple[Kind, Path]):
    short = VectorOptions(dimensions=8)
    one, other = (Predictor(formed[1], engine).predict(["iron"], short) for engine in (OnnxEngine(), TorchEngine()))
    assert len(one.results[0].embedding) == 8
    assert one.results[0].embedding == pytest.approx(other.results[0].embedding, abs=1e-5)


def test_a_form_out_of_bounds_is_not_kept_and_the_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bundle = untrained(KINDS["classification"], tmp_path)
    monkeypatch.setattr(quantizing, "quantize", turned_round)
    cfg = compose_config("data=files", "data.train=x.csv", "evaluate.resamples=100", "evaluate.latency_texts=8")
    record = make(cfg.forms, cfg, classified(200), [], bundle)
    assert list(record["refused"]) == ["int8"]
    assert "expected at least 0.99" in record["refused"]["int8"]
    assert [path.name for path in bundle.glob("*.onnx")] == ["model.onnx"]
    forms = Bundle.read(bundle).forms
    assert list(forms) == ["onnx"]
    assert forms["onnx"].agreement == 1
    assert forms["onnx"].speed.low <= forms["onnx"].speed.value <= forms["onnx"].speed.high
    for told in (table_of_forms(record), markdown_of_forms(record)):
        assert "int8 is not kept: agreement 0." in told
    with pytest.raises(UserError, match=r"no model.int8.onnx.*\n?.*forms=onnx.*serve/engine=torch"):
        Predictor(bundle, OnnxEngine(precision="int8"))


def turned_round(bundle: Path) -> Path:
    """Quantization gone wrong: what the classifier found likely becomes unlikely."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(bundle / FILES["float32"])
    for weight in model.graph.initializer:
        if "classifier" in weight.name:
            weight.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weight), weight.name))
    onnx.save(model, bundle / FILES["int8"])
    return bundle / FILES["int8"]


def test_bounds():
    def form(agreement: float, low: float) -> Form:
        one, told = Estimate(value=0, low=low, high=0), {"file": "model.onnx", "size": 1, "rows": 100, "metric": "f1"}
        return Form(**told, agreement=agreement, difference=one, speed=one, control=1)

    settings = Forms(min_agreement=0.9, max_drop=0.01)
    assert settings.refusal(form(0.9, -0.01)) is None
    assert settings.refusal(form(0.89, 0)) == "agreement 0.8900, expected at least 0.9"
    assert "difference in f1 -0.0110, expected at least -0.01 (100 rows)" in settings.refusal(form(1, -0.011))
    assert settings.refusal(form(math.nan, 0))
    assert settings.refusal(form(1, math.nan))


def test_what_cannot_be_exported_says_why(plain: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exporting, "TOLERANCE", 1e-12)
    with pytest.raises(UserError, match=r"of the largest apart, expected at most 1e-12. forms=none"):
        export(plain)

    def branches(self, model, batch, options):
        return batch["input_ids"] if batch["input_ids"].sum() > 3 else -batch["input_ids"]

    monkeypatch.setattr(Classification, "forward", branches)
    with pytest.raises(UserError, match="ModernBertForSequenceClassification cannot be exported to ONNX: .*forms="):
        export(plain)


def test_models_that_write_or_are_too_large_have_no_form(tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch):
    Bundle.read(plain).model_copy(update={"task": "causal_lm", "fields": {}}).write(tmp_path)
    assert "writes token by token" in obstacle(tmp_path)
    assert obstacle(plain) is None
    monkeypatch.setattr(exporting, "LARGEST", 1000)
    assert "one ONNX file holds 2 GB" in obstacle(plain)


def test_numbers_and_tags_agree_by_how_near_they_are():
    ours, theirs = np.array([[1.0], [2.0], [3.5]]), np.array([[1.0], [2.0], [3.0]])
    apart = 0.5 / 3 / np.std([1, 2, 3])
    assert Regression().agreement(ours, theirs, []) == pytest.approx(1 - apart)
    one, other = [np.eye(2), np.eye(2)[:1]], [np.eye(2)[::-1], np.eye(2)[:1]]
    assert TokenClassification().agreement(one, other, ["O", "B-x"]) == pytest.approx(1 / 3)


def test_speed_is_told_with_bounds_and_a_control():
    class Slow:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def outputs(self, inputs: list[str]) -> None:
            time.sleep(self.seconds)

    found = speed(Slow(0.002), Slow(0.004), Slow(0.004), ["a"] * 4)  # type: ignore[arg-type]
    assert 1.3 < found.median < 2.5
    assert found.low <= found.median <= found.high
    assert found.control == pytest.approx(1, abs=0.2)
