"""Every task the whole way with the same commands: trained, promoted, predicted, served, opened by MLflow."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sluice.registry.store import Store
from sluice.registry.versions import find
from tests.conftest import REPOSITORY
from tests.e2e.conftest import House
from tests.e2e.test_way import serving
from tests.model import (
    test_decoders,
    test_multilabel,
    test_pair_classification,
    test_regression,
    test_seq2seq,
    test_token_classification,
)

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Way:
    """A task, its rows, and how its answers are told right."""

    task: str
    model: str
    rows: Callable[[int, int], dict[str, list[str]]]
    text: str
    right: Callable[[dict[str, Any]], bool]
    verb: str
    more: tuple[str, ...] = ()


def translations(count: int, seed: int = 0) -> dict[str, list[str]]:
    """The same toy rows as for summaries, with one right answer, long enough for BLEU's four words."""
    rows = test_seq2seq.make_rows(count, seed)
    return {
        "source": rows["document"],
        "target": [f"this is all {cell.partition(chr(10))[0]}" for cell in rows["summary"]],
    }


def pairs(count: int, seed: int = 0) -> dict[str, list[str]]:
    """Questions that name a thing, and the passages about it."""
    rows = test_seq2seq.make_rows(count, seed)
    things = [cell.partition("\n")[0].removeprefix("about the ") for cell in rows["summary"]]
    return {"query": rows["document"], "passage": [f"all that is known of the {thing}" for thing in things]}


def scored(count: int, seed: int = 0) -> dict[str, list[str]]:
    """Pairs of texts that are alike where they name the same thing."""
    one, other = test_seq2seq.make_rows(count, seed), test_seq2seq.make_rows(count, seed + 1)
    alike = [str(float(a == b) * 5) for a, b in zip(one["summary"], other["summary"], strict=True)]
    return {"text_a": one["document"], "text_b": other["document"], "score": alike}


SMALL = ("model.hidden=48", "model.heads=2", "model.feed_forward=96", "model.layers=2")
WRITER = (
    "model.hidden=48", "model.layers=1", "model.decoder_layers=1", "model.heads=2", "model.feed_forward=64",
    "model.dropout=0", "train.learning_rate=3e-3",
)  # fmt: skip
WAYS = [
    Way(
        "pair_classification",
        "tiny",
        test_pair_classification.make_rows,
        '["today we saw plum then", "and it rain yes nothing"]',
        lambda answer: answer["label"] == "fruit",
        "compare",
    ),
    Way(
        "multilabel",
        "tiny",
        test_multilabel.make_rows,
        "we saw copper and then lima today rain",
        lambda answer: set(answer["labels"]) == {"city", "metal", "named"},
        "label",
    ),
    Way(
        "regression",
        "tiny",
        test_regression.make_rows,
        "the plot was good and music superb to me",
        lambda answer: abs(answer["score"] - 2450) < 150,
        "score",
    ),
    Way(
        "token_classification",
        "tiny",
        test_token_classification.make_rows,
        "Ada lives in Lima .",
        lambda answer: [one["text"] for one in answer["entities"]] == ["Ada", "Lima"],
        "tag",
    ),
    Way(
        "summarization",
        "encoder_decoder",
        test_seq2seq.make_rows,
        "two of the old boat",
        lambda answer: answer["text"] == "about the boat",
        "summarize",
        WRITER,
    ),
    Way(
        "translation",
        "encoder_decoder",
        translations,
        "two of the old boat",
        lambda answer: answer["text"] == "this is all about the boat",
        "translate",
        WRITER,
    ),
    Way(
        "chat",
        "decoder",
        test_decoders.make_rows,
        "two of the old boat",
        lambda answer: answer["text"].startswith("it is the"),
        "chat",
        (*SMALL, "model.key_value_heads=1"),
    ),
    Way(
        "causal_lm",
        "decoder",
        test_decoders.make_texts,
        "two of the old boat is",
        lambda answer: answer["text"].startswith("there"),
        "generate",
        (*SMALL, "model.key_value_heads=1"),
    ),
    Way(
        "embedding",
        "tiny",
        pairs,
        "two of the old boat",
        lambda answer: sum(one * one for one in answer["embedding"]) == pytest.approx(1, abs=1e-4),
        "embed",
    ),
    Way(
        "similarity",
        "tiny",
        scored,
        "two of the old boat",
        lambda answer: sum(one * one for one in answer["embedding"]) == pytest.approx(1, abs=1e-4),
        "embed",
    ),
]


LIKE_ANOTHER = ("translation", "similarity", "pair_classification")
"""Tasks whose way differs from another's in figures and columns only."""


@pytest.fixture(
    params=[pytest.param(way, marks=pytest.mark.thorough) if way.task in LIKE_ANOTHER else way for way in WAYS],
    ids=[way.task for way in WAYS],
)
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Way, House]]:
    """A task and the house in which it was trained and promoted."""
    way: Way = request.param
    columns = way.rows(600, 0)
    lines = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    lists = [name for name in columns if any("\n" in cell for cell in columns[name])]
    rows = tmp_path / "rows.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line | {name: line[name].split("\n") for name in lists}) + "\n")
    house = House(tmp_path / "mlruns", rows, name="demo")
    learn = ["train.max_steps=250", "train.learning_rate=1e-2", "train.token_dropout=0", "train.label_smoothing=0"]
    learn += way.more
    chosen = [f"task={way.task}", f"model={way.model}", "checks.max_near_duplicates=null"]
    told = house("train", *chosen, *learn)
    assert "demo:1 is the challenger" in told
    told = house("promote", *chosen, *learn)
    assert "promoted: demo:1 is the champion" in told
    yield way, house
    house.close()


def test_trained_promoted_predicted_served_and_opened(trained: tuple[Way, House], tmp_path: Path):
    import mlflow
    import pandas as pd

    way, house = trained
    given, output = tmp_path / "given.csv", tmp_path / "output.jsonl"
    with given.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "id"], [way.text, "7"]])
    house("predict", f"input={given}", f"output={output}")
    (line,) = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    assert line["id"] in (7, "7")
    config = house.root / "work" / "serve" / "config.yaml"
    with serving(house, {"SLUICE_CONFIG": str(config)}, "serving.service:Sluice", REPOSITORY) as client:
        answer = client.post(f"/v1/{way.verb}", json={"input": way.text})
        assert answer.status_code == 200, answer.text
        (result,) = answer.json()["results"]
        assert way.right(result)
        assert client.get("/v1/models").json()["data"][0]["task"] == way.task
    version = find(Store(house.root, None), "demo", 1)
    loaded = mlflow.pyfunc.load_model(f"models:/demo/{version.number}")
    frame = loaded.predict(pd.DataFrame({"text": [way.text]}))
    shown = {name: frame[name][0] for name in frame.columns}
    predicted = {
        name.removeprefix("predicted_"): value for name, value in line.items() if name.startswith("predicted_")
    }
    assert shown == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in predicted.items()
    }
