"""One predictor for evaluation and service: order, batching and files must not change an answer."""

from pathlib import Path

import numpy as np
import pytest

from sluice.errors import UserError
from sluice.inference.bundle import Bundle, Lineage
from sluice.inference.engine import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.encoder import Encoder
from sluice.tasks import resolve
from sluice.tasks.classification import Classification, ClassificationOptions
from tests.conftest import make_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of an untrained model."""
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle")
    rows = make_rows(50)
    spec, task = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48), Classification(max_length=16)
    texts = [text for text, _ in rows]
    tokenizer = spec.tokenizer(texts, 16)
    labels = ["fruit", "metal", "river"]
    ids = [one.ids for one in task.encode(tokenizer, texts)]
    spec.model(task.model_class(), labels, tokenizer, ids).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    lineage = Lineage(data="d", split="s", config="c", git="none")
    Bundle(task=task.name, fields=task.model_dump(), labels=labels, lineage=lineage).write(folder)
    return folder


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return Predictor(folder, TorchEngine(threads=1))


def test_batch_and_order_do_not_change_an_answer(predictor: Predictor):
    texts = [text for text, _ in make_rows(70)] + ["", "word " * 500, "😀 ünïcode"]
    together = predictor.outputs(texts)
    backwards = predictor.outputs(texts[::-1])[::-1]
    alone = np.concatenate([predictor.outputs([text]) for text in texts])
    assert np.allclose(together, backwards, atol=1e-5)
    assert np.allclose(together, alone, atol=1e-5)


def test_results_are_probabilities_in_order(predictor: Predictor):
    prediction = predictor.predict(["iron and tin", "apple"], ClassificationOptions(top_k=2))
    assert len(prediction.results) == 2
    assert prediction.tokens >= 6
    for result in prediction.results:
        scores = list(result.scores.values())
        assert len(scores) == 2
        assert scores == sorted(scores, reverse=True)
        assert result.label == next(iter(result.scores))
    whole = predictor.predict(["apple"]).results[0]
    assert sum(whole.scores.values()) == pytest.approx(1)


def test_no_texts_give_no_results(predictor: Predictor):
    assert predictor.predict([]).results == []


def test_the_plain_folder_opens_in_transformers(folder: Path, predictor: Predictor):
    from transformers import pipeline

    answer = pipeline("text-classification", model=str(folder))("iron and tin")[0]
    ours = predictor.predict(["iron and tin"]).results[0]
    assert answer["label"] == ours.label
    assert answer["score"] == pytest.approx(ours.score, abs=1e-5)


def test_a_bundle_says_what_is_wrong_with_it(tmp_path: Path, folder: Path):
    with pytest.raises(UserError, match="is not a bundle"):
        Bundle.read(tmp_path)
    (tmp_path / "bundle.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Bundle.read(tmp_path)
    with pytest.raises(UserError, match="unknown task 'poetry'.*classification"):
        resolve("poetry", {})
    assert Bundle.read(folder).resolve_task() == Classification(max_length=16)
