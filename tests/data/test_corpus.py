"""Unlabelled text: read as a stream, from any of the formats, without what models are tested on."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluice.data.prepare import load
from sluice.data.sources import corpus, shards
from sluice.data.sources.apidocs import ApiDocs
from sluice.errors import UserError
from sluice.tasks.classification import Classification
from tests.data.conftest import Listed

DOCUMENTS = ["The first one.", "", "The second, with ünïcode 😀.", "The third one."]
ROWS = [(f"row number {number} about {label}", label) for number in range(40) for label in ("fruit", "metal")]


def everything(found: corpus.Corpus) -> tuple[list[str], Counter[str]]:
    """All documents, and what was left out."""
    left_out: Counter[str] = Counter()
    return [text for read in found.shards for text in read(left_out)], left_out


def write(path: Path, documents: list[Any]) -> Path:
    lines = "".join(json.dumps({"text": text}) + "\n" for text in documents)
    path.write_text(lines, encoding="utf-8")
    return path


def test_every_format_gives_the_same_documents(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", DOCUMENTS)
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write((tmp_path / "a.jsonl").read_text())
    pq.write_table(pa.table({"text": DOCUMENTS}), tmp_path / "c.parquet", row_group_size=2)
    (tmp_path / "d.txt").write_text("\n".join(DOCUMENTS) + "\n", encoding="utf-8-sig")
    for path in shards.find([str(tmp_path / "*")]):
        assert [text for text in shards.documents(path, "text") if text] == [text for text in DOCUMENTS if text]


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a.jsonl:2: not JSON at column"),
        ("a.jsonl", b'{"body": "x"}\n', r"a.jsonl:1: no column 'text'; found: body. Name yours: pretrain.column"),
        ("a.jsonl", b'["x"]\n', r"a.jsonl:1: a JSON list, expected an object"),
        ("a.jsonl", b'{"text": 3}\n', r"a.jsonl:1: text is int '3', expected a string"),
        ("a.txt", b"caf\xe9\n", r"a.txt: byte 0xe9 is not UTF-8"),
        ("a.txt.gz", b"no gzip", r"a.txt.gz: not a whole gzip file"),
        ("a.txt.gz", gzip.compress(b"cut off" * 99, mtime=0)[:-9], r"a.txt.gz: not a whole gzip file"),
        ("a.parquet", b"no parquet", r"a.parquet: not a whole Parquet file"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: bytes, wanted: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=wanted):
        list(shards.documents(tmp_path / name, "text"))


def test_patterns_that_find_nothing_readable_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\*.jsonl matches no file, looked for from"):
        shards.find([f"{tmp_path}/*.jsonl"])
    for name in ("a.csv", "a.parquet.gz"):
        (tmp_path / name).write_text("x")
        with pytest.raises(UserError, match=f"{name}: expected .jsonl"):
            shards.find([str(tmp_path / name)])


def test_digests_follow_contents_and_are_remembered(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", ["a"])
    before = shards.digests([one], tmp_path)
    moved = shards.digests([one.rename(tmp_path / "moved.jsonl")], tmp_path)
    assert shards.contents(before) == shards.contents(moved)
    cache = tmp_path / shards.DIGESTS
    cache.write_text(cache.read_text().replace(moved[tmp_path / "moved.jsonl"], "remembered"))
    assert shards.digests([tmp_path / "moved.jsonl"], tmp_path) == {tmp_path / "moved.jsonl": "remembered"}
    write(tmp_path / "moved.jsonl", ["other"])
    assert shards.contents(shards.digests([tmp_path / "moved.jsonl"], tmp_path)) != shards.contents(before)


def test_held_out_rows_are_left_out_of_your_corpus(tmp_path: Path, prepared: Any) -> None:
    prepared(ROWS)
    rows = load(tmp_path)
    held_out = [*rows["validation"]["text"], *rows["test"]["text"]]
    shouted = [text.upper() for text in held_out]
    write(tmp_path / "c.jsonl", [*rows["train"]["text"], *shouted, "", "something else", "half \ud800"])
    found = corpus.from_files([str(tmp_path / "c.jsonl")], "text", tmp_path, tmp_path)
    texts, left_out = everything(found)
    assert texts == [*rows["train"]["text"], "something else"]
    assert left_out == {"held_out_text": len(held_out), "empty": 1, "broken": 1}
    assert len(held_out) > 5


def test_held_out_texts_count_in_the_digest_and_labels_do_not(tmp_path: Path, prepared: Any) -> None:
    write(tmp_path / "c.jsonl", DOCUMENTS)

    def digest() -> str:
        return corpus.from_files([str(tmp_path / "c.jsonl")], "text", tmp_path, tmp_path).digest

    prepared(ROWS)
    before = digest()
    prepared([(text, "wood" if label == "metal" else label) for text, label in ROWS])
    assert digest() == before
    prepared(ROWS, split={"seed": 1})
    assert digest() != before


def test_a_source_without_more_gives_its_training_texts(tmp_path: Path, prepared: Any) -> None:
    prepared(ROWS)
    found = corpus.own(Listed(rows=ROWS), tmp_path, Classification())
    assert everything(found)[0] == list(load(tmp_path)["train"]["text"])


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of 40 files, each with a long docstring of its own, a short one, and one that all share."""
    folder = tmp_path / "reedlib"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for number in range(40):
        own = f"Gate {number} of ReedLib. " + f"It holds water number {number} back. " * 30
        body = (
            f'"""{own}"""\ndef one():\n    "Short {number}."\ndef two():\n    "Shared by all files of the library."\n'
        )
        (folder / f"gate{number}.py").write_text(body)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_docstrings_are_whole_masked_and_none_of_held_out_files(library: Path) -> None:
    source = ApiDocs(name="x", topics={"reedlib": "gates"}, aliases=("reedlib",), max_characters=60)
    from sluice.data.split import assign

    files = [f"reedlib/gate{number}.py" for number in range(40)]
    training = [number for number, side in enumerate(assign(files, [None] * 40, source.split)) if side == "train"]
    assert 20 < len(training) < 40
    texts, left_out = everything(corpus.own(source, library, "text"))
    long = {int(text.split()[1]): text for text in texts if text.startswith("Gate")}
    assert sorted(long) == training
    assert all(len(text) > 900 and "of PKG." in text for text in long.values())
    assert sorted(text for text in texts if text.startswith("Short")) == sorted(f"Short {n}." for n in training)
    assert len(texts) == 2 * len(training)
    assert left_out == {
        "held_out_file": 3 * (40 - len(training)),
        "held_out_text": len(training),  # the one that all files share
        "duplicate": 0,
    }


def test_only_what_changes_the_texts_changes_the_digest_of_docstrings(library: Path) -> None:
    def digest(**fields: Any) -> str:
        values = {"name": "x", "topics": {"reedlib": "gates"}, "aliases": ["reedlib"], **fields}
        return corpus.own(ApiDocs.model_validate(values), library, "text").digest

    before = digest()
    assert digest(name="y", max_characters=50, min_words=3, max_rows_per_label=5, paragraphs=1) == before
    assert before not in {digest(mask=False), digest(split={"seed": 1}), digest(aliases=[])}
