"""A label for two texts: a toy relation learnt, opened by those who did not make it, rows known by both texts."""

import json
import random
from pathlib import Path

import pytest

from sluice.data.inspection.settings import Checks
from sluice.data.prepare import prepare
from sluice.data.sources.tabular import Files
from sluice.errors import UserError
from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.models.encoder import Encoder
from sluice.tasks.pair_classification import PairClassification
from tests.model.learning import learn

TASK = PairClassification(max_length=32)
SPEC = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48)
WORDS = {"city": ["paris", "lima", "oslo"], "fruit": ["apple", "pear", "plum"]}
REPLIES = {True: ["yes", "right", "agreed"], False: ["no", "wrong", "never"]}
OTHERS = ["we", "saw", "it", "rain", "today", "and", "then", "nothing"]


def make_rows(count: int, seed: int = 0) -> dict[str, list[str]]:
    """What is claimed and what is replied: the kind of thing that both agree on, so that neither text tells alone."""
    rng = random.Random(seed)
    rows: dict[str, list[str]] = {"text_a": [], "text_b": [], "label": []}
    for _ in range(count):
        kind, agreed = rng.choice(list(WORDS)), rng.random() < 0.67
        for column, word in (("text_a", rng.choice(WORDS[kind])), ("text_b", rng.choice(REPLIES[agreed]))):
            words = [*rng.sample(OTHERS, 4), word]
            rng.shuffle(words)
            rows[column].append(" ".join(words))
        rows["label"].append(kind if agreed else "none")
    return rows


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learnt the toy task."""
    fitted, bundle = learn(TASK, SPEC, make_rows(384), make_rows(60, seed=1), tmp_path_factory.mktemp("pairs"))
    assert fitted.best > 0.95
    return bundle


def test_a_callers_pair_and_a_rows_are_one_input(learnt: Path):
    predictor, rows = Predictor(learnt, TorchEngine()), make_rows(50, seed=2)
    pairs = TASK.inputs(rows)
    sent = predictor.predict([json.dumps(pair) for pair in pairs]).results
    assert sent == predictor.predict(pairs).results
    assert sum(one.label == right for one, right in zip(sent, rows["label"], strict=True)) > 47


def test_rows_answer_alike_in_any_order(learnt: Path):
    predictor, pairs = Predictor(learnt, TorchEngine()), TASK.inputs(make_rows(50, seed=2))
    for one, other in zip(
        predictor.predict(pairs).results, reversed(predictor.predict(pairs[::-1]).results), strict=True
    ):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_transformers_opens_it_and_agrees(learnt: Path):
    from transformers import pipeline

    pairs = TASK.inputs(make_rows(5, seed=3))
    asked = [{"text": one, "text_pair": other} for one, other in pairs]
    found = pipeline("text-classification", str(learnt), top_k=None)(asked)
    for one, other in zip(Predictor(learnt, TorchEngine()).predict(pairs).results, found, strict=True):
        assert one.scores == pytest.approx({each["label"]: each["score"] for each in other}, abs=1e-5)


def test_a_separator_stands_between_the_texts_and_both_are_cut():
    tokenizer = SPEC.tokenizer(["a b"], 16)
    (one,) = TASK.encode(tokenizer, [("a", "b")])
    assert tokenizer.decode(one.ids) == "<s> a</s> b</s>"
    (cut,) = TASK.encode(tokenizer, [("a " * 40, "b " * 40)])
    assert len(cut.ids) == 16
    assert abs(cut.ids.count(one.ids[1]) - cut.ids.count(one.ids[3])) <= 1
    assert len(TASK.encode(tokenizer, [("a " * 40, "b " * 40)], whole=True)[0].ids) > 80
    assert TASK.encode(tokenizer, []) == []


@pytest.mark.parametrize(
    "text",
    [
        "a text", "[draft", '["a"]', '["a", "b", "c"]', '["a", 1]', '["a", " "]', '{"a": "b"}', "[" * 9999,
        r'["\ud800", "b"]',
    ],
)  # fmt: skip
def test_what_is_no_pair_is_refused_in_one_line(text: str):
    assert (TASK.refusal(text) or "").startswith("expected a pair")
    with pytest.raises(UserError, match=r"^[^\n]*expected a pair[^\n]*$"):
        TASK.encode(SPEC.tokenizer(["a b"], 16), [text])


def test_the_example_is_a_pair():
    assert TASK.refusal(TASK.example) is None


def test_rows_are_known_by_both_texts(tmp_path: Path):
    rows = make_rows(200)
    more = [("one same premise", "a claim", "city"), ("one same premise", "something else entirely", "none")]
    bad = [("One same  premise", "a claim", "city"), ("twice", "told", "city"), ("twice", "told", "none")]
    lines = [*zip(rows["text_a"], rows["text_b"], rows["label"], strict=True), *more, *bad]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(dict(zip(rows, line, strict=True))) + "\n" for line in lines))
    repeated = 200 - len(set(zip(rows["text_a"], rows["text_b"], strict=True)))
    record = prepare(Files(name="x", train=str(path)), TASK, tmp_path / "prepared", True, Checks())
    assert record["dropped"] == {"conflict": 2, "duplicate": repeated + 1}


def test_one_label_in_all_rows_names_the_column_of_labels(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    lines = [{"text_a": f"number {at * 7919}", "text_b": f"{at * 104729}", "label": "follows"} for at in range(100)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"data\.columns\.label"):
        prepare(Files(name="x", train=str(path)), TASK, tmp_path / "prepared", True, Checks())


def test_tokenizers_of_others_leave_token_types_out_as_in_training(tmp_path: Path):
    from transformers import AutoTokenizer, BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb")
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    assert "token_type_ids" in AutoTokenizer.from_pretrained(tmp_path)("a", "b")
    TASK.export(tmp_path)
    opened = AutoTokenizer.from_pretrained(tmp_path)
    assert dict(opened("a", "b")) == {"input_ids": [2, 5, 3, 6, 3], "attention_mask": [1] * 5}
    assert TASK.encode(opened, [("a", "b")])[0].ids == [2, 5, 3, 6, 3]


def test_the_baseline_sees_what_the_texts_share():
    rng = random.Random(0)
    words = ["river", "gate", "valve", "pump", "lake", "canal"]
    pairs = [(rng.choice(words), rng.choice(words)) for _ in range(300)]
    rows = {
        "text_a": [one for one, _ in pairs],
        "text_b": [other for _, other in pairs],
        "label": ["same" if one == other else "other" for one, other in pairs],
    }
    found = TASK.baselines(rows, rows)
    assert found.trivial == {"majority": ["other"] * 300}
    assert found.strong == {"tfidf_pair_logistic": rows["label"]}
