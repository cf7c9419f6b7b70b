"""Texts with any number of labels: a toy task learnt, opened by those who did not make it, figures done by hand."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from sluice.inference.bundle import Bundle
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.encoder import Encoder
from sluice.tasks.multilabel import Multilabel, MultilabelOptions
from sluice.training.loss import class_weights
from tests.model.learning import learn

TASK = Multilabel(max_length=24)
SPEC = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48)
WORDS = {"city": ["paris", "lima", "oslo"], "fruit": ["apple", "pear", "plum"], "metal": ["iron", "zinc", "copper"]}
OTHERS = ["we", "saw", "it", "rain", "today", "and", "then", "nothing"]


def make_rows(count: int, seed: int = 0) -> dict[str, list[str]]:
    """Sentences with a word of none to all of three kinds; the label `named` is theirs that have any."""
    rng = random.Random(seed)
    rows: dict[str, list[str]] = {"text": [], "labels": []}
    for _ in range(count):
        kinds = [kind for kind in WORDS if rng.random() < 0.4]
        words = rng.sample(OTHERS, 8 - len(kinds)) + [rng.choice(WORDS[kind]) for kind in kinds]
        rng.shuffle(words)
        rows["text"].append(" ".join(words))
        rows["labels"].append("\n".join([*kinds, *(["named"] if kinds else [])]))
    return rows


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learnt the toy task."""
    fitted, bundle = learn(TASK, SPEC, make_rows(384), make_rows(60, seed=1), tmp_path_factory.mktemp("multilabel"))
    assert fitted.best > 0.95
    return bundle


def test_each_label_is_found_by_itself_and_none_where_none_fits(learnt: Path):
    predictor = Predictor(learnt, TorchEngine())
    many, none = predictor.predict(
        ["we saw copper and then lima today rain", "it rain today and then nothing we saw"]
    ).results
    assert set(many.labels) == {"city", "metal", "named"}
    assert [many.scores[label] for label in many.labels] == sorted(many.scores.values(), reverse=True)[:3]
    assert none.labels == []
    assert max(none.scores.values()) < 0.5


def test_a_caller_may_move_the_threshold_and_ask_for_fewer_scores(learnt: Path):
    predictor = Predictor(learnt, TorchEngine())
    text = ["we saw copper and then lima today rain"]
    (low,) = predictor.predict(text, MultilabelOptions(threshold=1e-6, top_k=2)).results
    (high,) = predictor.predict(text, MultilabelOptions(threshold=1 - 1e-6)).results
    assert set(low.labels) == set(TASK.labels(make_rows(50)))
    assert list(low.scores) == low.labels[:2]
    assert high.labels == []


def test_rows_answer_alike_in_any_order(learnt: Path):
    predictor, texts = Predictor(learnt, TorchEngine()), make_rows(50, seed=2)["text"]
    whole = predictor.predict(texts).results
    for one, other in zip(whole, reversed(predictor.predict(texts[::-1]).results), strict=True):
        assert one.labels == other.labels
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_transformers_own_pipeline_opens_it_and_agrees(learnt: Path):
    from transformers import pipeline

    texts = make_rows(5, seed=3)["text"]
    found = pipeline("text-classification", str(learnt), top_k=None)(texts)
    for one, other in zip(Predictor(learnt, TorchEngine()).predict(texts).results, found, strict=True):
        assert one.scores == pytest.approx({each["label"]: each["score"] for each in other}, abs=1e-5)
    assert Bundle.read(learnt).labels == ("city", "fruit", "metal", "named")


def test_figures_done_by_hand():
    labels, right = ["a", "b", "c"], [["a"], ["a", "b"], [], ["b"]]
    outputs = [np.array(row) for row in ([2.0, -2.0, -3.0], [1.0, -1.0, -3.0], [-3.0, -1.5, -3.0], [1.0, 1.0, -3.0])]
    assert TASK.predictions(outputs, labels) == [["a"], ["a"], [], ["a", "b"]]
    figures = TASK.metrics(outputs, labels, right)
    assert figures["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    assert figures["macro_f1"] == pytest.approx((2 * 2 / 5 + 2 / 3) / 2)  # c is neither said nor right
    assert figures["subset_accuracy"] == 0.5
    assert figures["hamming_loss"] == pytest.approx(2 / 12)
    assert figures["macro_average_precision"] == pytest.approx((5 / 6 + 1) / 2)
    assert figures["auroc"] == pytest.approx((3.5 / 4 + 1) / 2)
    breakdown = TASK.breakdown(TASK.predictions(outputs, labels), right, labels)
    assert breakdown["a"] == pytest.approx({"precision": 2 / 3, "recall": 1, "f1": 0.8, "support": 2})
    assert breakdown["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    tally = TASK.tally(TASK.predictions(outputs, labels), right, labels)
    assert tally.exact() == pytest.approx({name: figures[name] for name in tally.exact()})
    assert TASK.grades(TASK.predictions(outputs, labels), right, labels).tolist() == pytest.approx([1, 2 / 3, 1, 2 / 3])


def test_rows_without_any_label_leave_no_figure_undefined():
    outputs = [np.array([-5.0, -5.0])] * 3
    assert TASK.metrics(outputs, ["a", "b"], [[], [], []]) == {
        "micro_f1": 1.0, "macro_f1": 1.0, "subset_accuracy": 1.0, "hamming_loss": 0.0,
    }  # fmt: skip


def test_smoothing_and_weights_are_those_of_each_label():
    scores, targets = torch.tensor([[0.3, -2.0]]), torch.tensor([[1.0, 0.0]])
    plain = TASK.losses(scores, targets, 0.0)
    assert plain.tolist() == pytest.approx([float(np.log1p(np.exp(-0.3))), float(np.log1p(np.exp(-2.0)))])
    expected = 0.95 * plain + 0.05 * TASK.losses(scores, 1 - targets, 0.0)
    assert TASK.losses(scores, targets, 0.1).tolist() == pytest.approx(expected.tolist())
    rows = torch.tensor([[1, 0], [0, 0], [0, 0], [0, 1]]).float()
    kinds = TASK.kinds(rows)
    assert kinds.tolist() == [1, 2, 0, 2, 0, 2, 0, 3]
    shares = np.bincount(kinds, class_weights(list(kinds), 2).numpy()[kinds])
    assert shares == pytest.approx(np.full(4, 2.0))


def test_baselines_know_labels_that_all_rows_or_none_of_the_common_ones_have():
    train = {
        "text": ["aa bb cc", "aa bb dd", "xx yy zz", "xx yy ww"] * 5,
        "labels": ["all\nleft", "all\nleft", "all", "all"] * 5,
    }
    found = TASK.baselines(train, {"text": ["aa bb", "xx yy"], "labels": ["all", "all"]})
    assert found.trivial == {"most_frequent": [["all"]] * 2}
    assert found.strong == {"tfidf_logistic": [["all", "left"], ["all"]]}
