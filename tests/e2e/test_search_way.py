"""A model that embeds: its index built, asked, measured, served, carried by the Bento, cleaned up with its version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import WORDS, make_rows
from tests.e2e.conftest import House
from tests.e2e.test_way import serving
from tests.model import test_decoders
from tests.search.vectors import write_documents, write_rows

pytestmark = pytest.mark.slow
LEARN = ["task=embedding", "train.max_steps=150", "train.learning_rate=1e-2", "checks.max_near_duplicates=null"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """demo:1, which learnt which texts share a telling word, is the champion."""
    folder = tmp_path_factory.mktemp("search")
    pairs = [
        {"query": next(word for word in text.split() if word in WORDS[label]), "passage": text}
        for text, label in make_rows(500)
    ]
    house = House(folder / "mlruns", write_rows(folder / "pairs.jsonl", pairs))
    house("train", *LEARN)
    house("promote", *LEARN, 'force="only a test"')
    yield house
    house.close()


def test_indexed_asked_measured_served_packaged(house: House, tmp_path: Path):
    corpus = write_documents(tmp_path / "rows.jsonl", 300)
    asked = [f"index.corpus={corpus}", "index.block=64"]
    assert "demo:1 has no index yet: make index" in house("search", "query=iron", code=2)
    told = house("index", *asked)
    assert "documents  300" in told
    assert "make search ARGS=\"name=demo query='find the shortest path'\"" in told
    assert "unchanged" in house("index", *asked)
    found = house("search", "query=iron, isn't (it)", "k=3")
    assert str(corpus) in found
    lines = [line for line in found.splitlines() if line.lstrip()[:1].isdigit()]
    assert len(lines) == 3

    rows = [json.loads(line) for line in corpus.read_text().splitlines()]
    relevant = [row["id"] for row in rows if "iron" in row["text"]]
    queries = write_rows(tmp_path / "queries.jsonl", [{"id": "1", "text": "iron"}, {"id": "2", "text": "copper"}])
    judged = [{"query_id": "1", "doc_id": name, "rel": 1} for name in relevant]
    judgements = write_rows(tmp_path / "judgements.jsonl", judged)
    table = house("search", f"queries={queries}", f"judgements={judgements}")
    assert "1 judged queries, 1 without a relevant document left out" in table
    assert [line.split()[0] for line in table.splitlines()[-2:]] == ["demo:1", "bm25"]

    write_rows(corpus, [*rows[1:], {"id": "new", "title": "", "text": "old copper under the bridge"}])
    told = house("index", *asked)
    assert "documents  300, 1 others removed" in told
    assert "1 texts embedded" in told

    served = json.loads(house("resolve").splitlines()[-1])[0]
    assert Path(served["index"]).parent == house.root / "work" / "index"
    direct = [line.split()[-1] for line in house("search", "query=iron", "k=2").splitlines() if f"{corpus}:" in line]
    house("package", "version=1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with serving(house, {}, "demo:v1", elsewhere) as client:
        answer = client.post("/v1/search", json={"input": "iron", "options": {"k": 2}})
        assert answer.status_code == 200, answer.text
        assert [hit["source"] for hit in answer.json()["results"][0]["hits"]] == direct
    (made,) = house.root.parent.glob("bentoml/bentos/demo/v1/env/python/requirements.txt")
    assert "lancedb==" in made.read_text()


def test_answers_from_documents(house: House, tmp_path: Path):
    corpus = write_documents(tmp_path / "rows.jsonl", 100)
    house("index", f"index.corpus={corpus}")
    assert "apichat has no champion yet" in house("ask", "question=iron", code=2)
    rows = test_decoders.make_rows(200)
    talk = [
        {"prompt": prompt, "answer": answer.split("\n")}
        for prompt, answer in zip(rows["prompt"], rows["answer"], strict=True)
    ]
    small = ["model.hidden=32", "model.layers=1", "model.heads=2", "model.key_value_heads=1", "model.feed_forward=48"]
    learn = [
        "name=writer", f"data.train={write_rows(tmp_path / 'talk.jsonl', talk)}", "task=chat", "model=decoder", *small,
        "train.max_steps=20", "train.token_dropout=0", "task.max_length=96", "checks.max_near_duplicates=null",
    ]  # fmt: skip
    house("train", *learn)
    house("promote", *learn, 'force="only a test"')
    told = house("ask", "question=iron, isn't (it)?", "ask.model=writer")
    assert "demo:1 finds" in told
    assert "writer:1 writes" in told
    assert "grounded" in told
    assert f"{corpus}:" in told
    asked = [{"text": "iron", "doc_id": "nowhere", "answer": "old iron"}, {"text": "copper", "doc_id": "1"}]
    told = house("ask", f"questions={write_rows(tmp_path / 'asked.jsonl', asked)}", "ask.model=writer")
    assert "2 questions  recall 0." in told
    assert "rouge_l" in told


def test_clean_up_takes_the_indexes_of_versions_that_are_gone(house: House, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("a note of iron")
    house("index", f"index.corpus={tmp_path}/notes.txt")
    (index,) = [path.parent for path in house.root.glob("work/index/*/manifest.json") if "notes" in path.read_text()]
    stray = index.with_name("f" * 16)
    shutil.copytree(index, stray)
    manifest = json.loads((stray / "manifest.json").read_text())
    manifest["record"] |= {"bundle": "0" * 64, "version": "demo:9"}
    (stray / "manifest.json").write_text(json.dumps(manifest))
    told = house("gc", "retention.keep_days=0")
    assert "demo:9 is gone" in told
    assert not stray.exists()
    assert index.exists()
