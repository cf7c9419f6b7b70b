"""Near-duplicates that are left out: of rows and of a corpus, the same ones each time, and never a published row."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice.data.inspection.settings import Checks
from sluice.data.prepare import load, prepare
from sluice.data.sources.corpus import Corpus
from sluice.data.sources.near import REASON, without_near_duplicates
from sluice.tasks.classification import Classification
from tests.bench.near import report
from tests.data.conftest import Listed

NOUNS = [
    f"{one}{other}" for one in ("riv", "gat", "val", "pum", "lak", "can", "har") for other in ("er", "or", "um", "is")
]


def sentence(seed: int, words: int = 14) -> str:
    return " ".join(random.Random(seed).choices(NOUNS, k=words)) + f" number {seed * 7919}"


def prepared(folder: Path, rows: list[tuple[str, str]], **options: Any) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The record, and the texts by side."""
    record = prepare(Listed(rows=rows, **options), Classification(), folder, True, Checks())
    return record, {side: part["text"] for side, part in load(folder).items()}


ROWS = [(sentence(at), ("wet", "dry")[at % 2]) for at in range(120)]
COPIES = [(f"{text} {sign}", label) for sign in "!?." for text, label in ROWS[:20]]


def test_of_nearly_the_same_rows_one_stays_whatever_their_order(tmp_path: Path):
    record, texts = prepared(tmp_path / "a", [*ROWS, *COPIES], near_duplicates="drop")
    assert record["dropped"]["near_duplicate"] == 60
    assert sum(record["rows"].values()) == 120
    found = next(check for check in record["checks"] if check["name"] == "near_duplicates")
    assert found["says"].startswith("80 of 180 texts")
    shuffled = random.Random(1).sample([*ROWS, *COPIES], 180)
    assert prepared(tmp_path / "b", shuffled, near_duplicates="drop")[1] == texts
    record, _ = prepared(tmp_path / "c", [*ROWS, *COPIES])
    assert "near_duplicate" not in record["dropped"]


def test_published_rows_stay_and_training_rows_near_them_go(tmp_path: Path):
    rows = [*ROWS, *COPIES]
    sides = ["train"] * 100 + ["validation"] * 10 + ["test"] * 10 + ["test"] * 40 + ["train"] * 20
    record, texts = prepared(tmp_path, rows, sides=sides, near_duplicates="drop")
    assert record["rows"] == {"train": 80, "validation": 10, "test": 50}
    assert record["dropped"]["near_duplicate"] == 40
    assert {text for text, _ in COPIES[:40]} < set(texts["test"])


def test_a_chain_loses_only_rows_that_are_near_one_that_stays(tmp_path: Path):
    words = sentence(5, 30).split()
    chain = [" ".join([*words[at:], *(f"x{at}y{more}" for more in range(at))]) for at in range(0, 24, 2)]
    record, texts = prepared(tmp_path, [*ROWS, *((text, "wet") for text in chain)], near_duplicates="drop")
    kept = [text for side in texts.values() for text in side]
    own = [text for text in chain if text in kept]
    assert 1 < len(own) < len(chain)
    assert record["dropped"]["near_duplicate"] == len(chain) - len(own)


def corpus_of(*shards: list[str]) -> Corpus:
    return Corpus("d" * 64, [lambda _, documents=documents: iter(documents) for documents in shards])


def everything(corpus: Corpus) -> tuple[list[list[str]], Counter[str]]:
    left_out: Counter[str] = Counter()
    return [list(read(left_out)) for read in corpus.shards], left_out


FIRST = [sentence(at, 40) for at in range(1500)]
SECOND = [f"{text.upper()}  AGAIN" for text in FIRST[::3]] + [sentence(at, 40) for at in range(5000, 5100)]
THIRD = ["one and the same boilerplate in very many documents of one corpus"] * 300 + [sentence(5001, 40) + "!"]


def test_documents_near_an_earlier_one_of_any_shard_are_left_out_and_counted(tmp_path: Path):
    found, left_out = everything(without_near_duplicates(corpus_of(FIRST, SECOND, THIRD), 0.8, tmp_path))
    assert found == [FIRST, SECOND[500:], THIRD[:1]]
    assert left_out == {REASON: 500 + 299 + 1}
    assert not (tmp_path / "texts").exists()


def test_a_pass_that_was_cut_off_goes_on_with_the_shard_that_it_was_at(tmp_path: Path):
    def broken(left_out: Counter[str]) -> Any:
        yield from SECOND[:200]
        raise KeyboardInterrupt

    first, second, third = corpus_of(FIRST, SECOND, THIRD).shards
    with pytest.raises(KeyboardInterrupt):
        without_near_duplicates(Corpus("d" * 64, [first, broken, third]), 0.8, tmp_path)
    read: list[str] = []

    def once(left_out: Counter[str]) -> Any:
        read.append("first")
        return first(left_out)

    whole = without_near_duplicates(Corpus("d" * 64, [once, second, third]), 0.8, tmp_path)
    assert read == []
    again = without_near_duplicates(whole, 0.8, tmp_path)
    assert [len(documents) for documents in everything(whole)[0]] == [1500, 100, 1]
    assert again.digest == whole.digest


def test_what_goes_is_what_exact_similarity_says(tmp_path: Path):
    rng = np.random.default_rng(0)
    texts = [sentence(at, 40) for at in range(400)]
    for at in range(400):
        words = texts[at].split()
        for place in rng.choice(len(words), rng.integers(1, 8), replace=False):
            words[place] = "other"
        texts.append(" ".join(words))
    without_near_duplicates(corpus_of(texts), 0.8, tmp_path)
    import json

    places = set(json.loads((tmp_path / "00000.json").read_text()))
    told = report(texts, places, 0.8, 1.0)
    assert 100 < len(places) < 400
    assert "precision 1.0000" in told
    assert float(told.partition("recall ")[2].split()[0]) > 0.99
