"""A tagger: words and sub-words aligned, a toy task learnt, the bundle opened by those who did not make it."""

import random
from pathlib import Path

import numpy as np
import pytest

from sluice.inference.engines.torch import TorchEngine
from sluice.inference.predictor import Predictor
from sluice.metrics.entities import entity_tally
from sluice.models.encoder import Encoder
from sluice.tasks.task import IGNORED
from sluice.tasks.token_classification import TokenClassification
from sluice.training.rows import Rows
from tests.model.learning import learn

TASK = TokenClassification(max_length=32)
SPEC = Encoder(vocabulary=400, hidden=32, layers=2, heads=2, feed_forward=48)
CITIES, PEOPLE = ["Paris", "Lima", "Oslo", "New York"], ["Ada", "Alan", "Grace Hopper"]
FRAMES = ["{p} lives in {c} .", "from {c} comes {p} !", "it rains .", "in {c} , {p} met {q} ."]


def make_rows(count: int, seed: int = 0) -> dict[str, list[str]]:
    """Sentences with the names of people and cities."""
    rng = random.Random(seed)
    rows: dict[str, list[str]] = {"tokens": [], "tags": []}
    for _ in range(count):
        named = {"p": rng.choice(PEOPLE), "q": rng.choice(PEOPLE), "c": rng.choice(CITIES)}
        tokens, tags = [], []
        for part in rng.choice(FRAMES).split():
            key = part.strip("{}")
            own = named[key].split() if part[0] == "{" else [part]
            kind = {"p": "per", "q": "per", "c": "city"}[key] if part[0] == "{" else None
            tokens += own
            tags += [f"{'I' if at else 'B'}-{kind}" if kind else "O" for at in range(len(own))]
        rows["tokens"].append("\n".join(tokens))
        rows["tags"].append("\n".join(tags))
    return rows


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learnt the toy task."""
    fitted, bundle = learn(TASK, SPEC, make_rows(256), make_rows(40, seed=1), tmp_path_factory.mktemp("tagger"))
    assert fitted.best > 0.95
    return bundle


def test_validation_while_training_and_prediction_afterwards_agree(learnt: Path):
    predictor, rows = Predictor(learnt, TorchEngine()), make_rows(40, seed=1)
    said = TASK.predictions(predictor.outputs(TASK.inputs(rows)), predictor.bundle.labels)
    assert [len(own) for own in said] == [len(own) for own in TASK.inputs(rows)]
    assert entity_tally(said, TASK.references(rows)).exact()["f1"] > 0.95


def test_entities_carry_their_places_in_the_text(learnt: Path):
    text = "In New  York, Grace Hopper met Ada."
    (result,) = Predictor(learnt, TorchEngine()).predict([text]).results
    assert [(one.type, one.text) for one in result.entities] == [
        ("city", "New  York"),
        ("per", "Grace Hopper"),
        ("per", "Ada"),
    ]
    for one in result.entities:
        assert text[one.start : one.end] == one.text
        assert 0 < one.score <= 1
    assert not result.truncated
    empty, long = Predictor(learnt, TorchEngine()).predict(["", "Ada " * 60]).results
    assert empty.entities == []
    assert long.truncated


def test_transformers_own_pipeline_opens_it_and_agrees(learnt: Path):
    from transformers import pipeline

    text = "Ada lives in Oslo ."
    found = pipeline("token-classification", str(learnt), aggregation_strategy="first")(text)
    (result,) = Predictor(learnt, TorchEngine()).predict([text]).results
    assert [(one["entity_group"], one["word"].strip()) for one in found] == [
        (one.type, one.text) for one in result.entities
    ]


@pytest.mark.parametrize("kind", ["bytes", "pieces"])
def test_every_word_answers_by_its_first_token(kind: str, tmp_path: Path):
    rows = {"tokens": ["un believable , naïve\u00a0x 深 度", "Lima"], "tags": ["B-x I-x O O O O", "O"]}
    tokenizer = SPEC.tokenizer(["un Lima"], 32) if kind == "bytes" else _pieces(tmp_path)
    first, second = TASK.encode(tokenizer, [rows["tokens"][0].split(" "), ["Lima"]])
    for one, words in ((first, rows["tokens"][0].split(" ")), (second, ["Lima"])):
        assert one.positions is not None
        assert len(one.positions) == len(set(one.positions)) == len(words)
        pieces = [tokenizer.decode([one.ids[at]]).strip().removeprefix("##") for at in one.positions]
        for piece, word in zip(pieces, words, strict=True):
            assert piece == "[UNK]" or piece in ("\ufffd", "") or word.lower().startswith(piece.lower())


def test_targets_stand_at_the_first_tokens_and_nowhere_else():
    rows = make_rows(5)
    labels = TASK.labels(rows)
    tokenizer = SPEC.tokenizer(TASK.texts(rows), 32)
    encoded = Rows.of(TASK, tokenizer, rows, labels)
    for one, targets, tags in zip(encoded.encoded, encoded.targets, TASK.references(rows), strict=True):
        assert len(targets) == len(one.ids)
        assert [labels[target] for target in targets if target != IGNORED] == tags
        assert np.flatnonzero(np.array(targets) != IGNORED).tolist() == one.positions


def test_words_beyond_the_longest_input_have_no_answer_and_count_as_outside():
    tokenizer = SPEC.tokenizer(["a b"], 8)
    short = TokenClassification(max_length=8)
    (one,) = short.encode(tokenizer, [["a"] * 30])
    assert one.positions is not None
    assert len(one.ids) == 8
    assert len(one.positions) < 30
    assert len(short.encode(tokenizer, [["a"] * 30], whole=True)[0].positions or ()) == 30
    outputs = [np.zeros((len(one.positions), 2))]
    assert short.metrics(outputs, ["O", "B-x"], [["O"] * 29 + ["B-x"]])["recall"] == 0.0


def _pieces(folder: Path):
    """A WordPiece tokenizer of a few words, as BERT has."""
    from transformers import BertTokenizerFast

    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "un",
        "be",
        "##lie",
        "##vable",
        ",",
        "深",
        "度",
        "lima",
        "x",
    ]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    return BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=32)
