"""One predictor for evaluation and service: order, batching and files must not change an answer."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sluice.errors import UserError
from sluice.inference.bundle import Bundle, Lineage
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.inference.tokenizer import UNLIMITED, Tokens, load_tokenizer
from sluice.models.encoder import Encoder
from sluice.tasks import resolve
from sluice.tasks.classification import Classification, ClassificationOptions
from sluice.tasks.encoding import encodings
from sluice.tasks.seq2seq import Summarization
from tests.conftest import compose_config, make_rows


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


def test_an_answer_says_whether_it_is_below_the_threshold_or_out_of_scope(folder: Path, tmp_path: Path):
    from sluice.inference.bundle import Abstention

    bundle = tmp_path / "bundle"
    shutil.copytree(folder, bundle)
    texts, plain = [text for text, _ in make_rows(30)], Bundle.read(bundle)
    results = Predictor(bundle, TorchEngine()).predict(texts).results
    assert not any(result.abstained for result in results)
    threshold = float(np.median([result.score for result in results]))
    for out_of_scope in (None, results[0].label):
        rule = Abstention(threshold=threshold, out_of_scope=out_of_scope)
        plain.model_copy(update={"abstention": rule}).write(bundle)
        for options in (None, ClassificationOptions(top_k=1)):
            found = Predictor(bundle, TorchEngine()).predict(texts, options).results
            for one, before in zip(found, results, strict=True):
                assert (one.label, one.score) == (before.label, pytest.approx(before.score))
                assert one.abstained == (one.label == out_of_scope or one.score < threshold)
        assert any(one.abstained for one in found)


def test_a_threshold_for_a_task_that_has_none_is_refused_before_anything_is_trained():
    from pipelines.evaluate import check

    cfg = compose_config("task=multilabel", "data=files", "data.train=x.csv", "evaluate.abstain.accuracy=0.9")
    with pytest.raises(UserError, match="evaluate.abstain: task=multilabel gives no answer"):
        check(SimpleNamespace(cfg=cfg), SimpleNamespace(record={"labels": {}}))  # type: ignore[arg-type]


def test_no_texts_give_no_results(predictor: Predictor):
    assert predictor.predict([]).results == []


def test_the_plain_folder_opens_in_transformers(folder: Path, predictor: Predictor):
    from transformers import pipeline

    answer = pipeline("text-classification", model=str(folder))("iron and tin")[0]
    ours = predictor.predict(["iron and tin"]).results[0]
    assert answer["label"] == ours.label
    assert answer["score"] == pytest.approx(ours.score, abs=1e-5)


@pytest.mark.parametrize("longest", [None, 16])
@pytest.mark.parametrize("limit", [None, 7])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_tokenizer_without_transformers_encodes_alike(
    tmp_path: Path, folder: Path, longest: int | None, limit: int | None, side: str
):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder, truncation_side=side)
    theirs.model_max_length = longest or UNLIMITED
    theirs.save_pretrained(tmp_path)
    ours = load_tokenizer(tmp_path, Classification())
    assert isinstance(ours, Tokens)
    assert (ours.model_max_length, ours.truncation_side) == (theirs.model_max_length, side)
    texts = [text for text, _ in make_rows(20)] + ["", "word " * 50, "😀 ünïcode", "<s> </s> <mask>"]
    pairs = list(zip(texts, reversed(texts), strict=True))
    for given in (texts, pairs):
        ones, others = (given, None) if given is texts else zip(*given, strict=True)
        wanted = theirs(
            list(ones), others and list(others), truncation=limit is not None, max_length=limit,
            return_offsets_mapping=True, verbose=False,
        )  # fmt: skip
        found = encodings(ours, given, limit, offsets=True)
        assert [one.ids for one in found] == wanted["input_ids"]
        assert [one.offsets for one in found] == wanted["offset_mapping"]
        assert [one.ids for one in encodings(ours, given, limit)] == wanted["input_ids"]


def test_versions_that_read_alike_share_a_tokenizer_and_others_do_not(tmp_path: Path, folder: Path):
    shutil.copytree(folder, tmp_path / "next")
    ours = load_tokenizer(folder, Classification())
    assert load_tokenizer(tmp_path / "next", Classification()) is ours
    assert load_tokenizer(folder, Classification(max_length=16)) is not ours  # it is set to cut elsewhere
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (tmp_path / "next" / "tokenizer_config.json").write_text(json.dumps({**settings, "truncation_side": "left"}))
    assert load_tokenizer(tmp_path / "next", Classification()) is not ours


def test_a_tokenizer_with_a_class_of_its_own_is_left_to_transformers(tmp_path: Path, folder: Path):
    from transformers import BertTokenizer, PreTrainedTokenizerBase

    words = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "[MASK]": 4, "iron": 5}
    BertTokenizer(vocab=words).save_pretrained(tmp_path)
    assert isinstance(load_tokenizer(tmp_path, Classification()), PreTrainedTokenizerBase)
    assert isinstance(load_tokenizer(folder, Summarization()), PreTrainedTokenizerBase)


def test_a_bundle_says_what_is_wrong_with_it(tmp_path: Path, folder: Path):
    with pytest.raises(UserError, match="is not a bundle"):
        Bundle.read(tmp_path)
    (tmp_path / "bundle.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read"):
        Bundle.read(tmp_path)
    with pytest.raises(UserError, match="unknown task 'poetry'.*classification"):
        resolve("poetry", {})
    assert Bundle.read(folder).resolve_task() == Classification(max_length=16)
