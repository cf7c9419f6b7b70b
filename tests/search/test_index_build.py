"""The build of an index: exact, incremental, the same after kills, and honest about its recall."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sluice.errors import UserError
from sluice.files import write_json
from sluice.search.build import build
from sluice.search.documents import open_corpus
from sluice.search.searcher import Searcher, check_embeds
from sluice.search.settings import Index
from sluice.search.shelf import Origin, begin, newest, retire
from sluice.search.store import SHOWN, Table
from sluice.tasks.classification import Classification
from sluice.workspace import Workspace
from tests.conftest import REPOSITORY
from tests.search.vectors import WIDTH, embed, settings, write_documents, write_rows


def make(folder: Path, chosen: Index, seen: list[str] | None = None) -> dict[str, object]:
    """Build in `folder`, and leave it as a finished stage does; `seen` is filled with what was embedded."""

    def noting(texts: Sequence[str]) -> np.ndarray:
        (seen if seen is not None else []).extend(texts)
        return embed(texts)

    folder.mkdir(exist_ok=True)
    record = build(folder, open_corpus(chosen, folder), noting, chosen) | {"bundle": "b", "corpus": "rows"}
    write_json(folder / "manifest.json", {"record": record})
    return record


def rows(folder: Path) -> list[dict[str, object]]:
    """All rows with their vectors, by key."""
    return sorted(
        (row for batch in Table(folder).column(*SHOWN, "vector") for row in batch.to_pylist()),
        key=lambda row: row["key"],
    )


def test_hits_are_those_of_brute_force(tmp_path: Path):
    path = write_documents(tmp_path / "rows.jsonl", 300)
    make(tmp_path / "index", settings(path, words=40))
    searcher = Searcher(tmp_path / "index", embed)
    stored = rows(tmp_path / "index")
    vectors = np.array([row["vector"] for row in stored])
    queries = ["old iron and new tin", "near the volga"]
    for query, hits in zip(queries, searcher.search(queries, 5), strict=True):
        scores = vectors @ embed([query])[0]
        assert [hit.score for hit in hits] == pytest.approx(sorted(scores)[: -5 - 1 : -1], abs=1e-5)
        for hit in hits:
            row = next(row for row in stored if row["id"] == hit.id)
            assert (hit.text, hit.source, hit.title) == (row["text"], row["source"], row["title"])
            assert hit.source == f"{path}:{int(hit.id[1:]) + 1}"


def test_a_document_is_found_once_by_its_best_passage(tmp_path: Path):
    long = "iron tin zinc. " * 30
    path = write_rows(tmp_path / "rows.jsonl", [{"id": "long", "text": long}, {"id": "other", "text": "a river"}])
    record = make(tmp_path / "index", settings(path))
    assert record["passages"] > 10
    searcher = Searcher(tmp_path / "index", embed)
    assert [hit.id for hit in searcher.search(["iron"], 10)[0]] == ["long", "other"]
    assert searcher.documents(["iron"], 10) == [["long", "other"]]


def test_only_what_changed_is_embedded(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    documents = [{"id": f"d{at}", "text": f"text number {at} of all"} for at in range(200)]
    make(tmp_path / "index", settings(write_rows(path, documents)))
    documents[3]["text"] = "an altogether different thing"
    del documents[10]
    documents.append({"id": "new", "text": "brand new words"})
    seen: list[str] = []
    record = make(tmp_path / "index", settings(write_rows(path, documents)), seen)
    assert sorted(seen) == ["an altogether different thing", "brand new words"]
    make(tmp_path / "anew", settings(path))
    assert rows(tmp_path / "index") == rows(tmp_path / "anew")
    # All rows after the one that is gone stand on other lines now: shown anew, not embedded anew.
    assert (record["documents"], record["embedded"]) == (200, 2)


def test_the_same_text_is_embedded_once(tmp_path: Path):
    path = write_rows(tmp_path / "rows.jsonl", [{"id": str(at), "text": "the same"} for at in range(150)])
    record = make(tmp_path / "index", settings(path))
    assert (record["passages"], record["embedded"]) == (150, 1)


def test_building_again_and_again_leaves_no_files_behind(tmp_path: Path):
    path, sizes = tmp_path / "rows.jsonl", []
    for turn in range(4):
        make(tmp_path / "index", settings(write_documents(path, 300, seed=turn)))
        files = [file for file in (tmp_path / "index").rglob("*") if file.is_file()]
        sizes.append((len(files), sum(file.stat().st_size for file in files)))
    assert sizes[-1][0] <= sizes[1][0] + 2
    assert sizes[-1][1] < 1.2 * sizes[1][1]


def test_two_documents_of_one_id_are_refused(tmp_path: Path):
    path = write_rows(tmp_path / "rows.jsonl", [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}])
    with pytest.raises(UserError, match=r"rows\.jsonl:2: another document has the id 'a' already"):
        make(tmp_path / "index", settings(path))


def test_a_model_that_gives_no_vectors_is_refused():
    with pytest.raises(UserError, match="a model of task=classification gives no vectors to search by"):
        check_embeds(Classification())


def test_nothing_but_empty_documents_is_an_error(tmp_path: Path):
    path = write_rows(tmp_path / "rows.jsonl", [{"text": " "}, {"text": ""}])
    with pytest.raises(UserError, match="no document with any text, 2 empty ones"):
        make(tmp_path / "index", settings(path))


def test_the_recall_of_the_approximate_index_is_that_of_brute_force(tmp_path: Path):
    rng = np.random.default_rng(0)
    known: dict[str, np.ndarray] = {}

    def anywhere(texts: Sequence[str]) -> np.ndarray:
        for text in texts:
            known.setdefault(text, rng.normal(size=WIDTH))
        found = np.array([known[text] for text in texts], np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    path = write_documents(tmp_path / "rows.jsonl", 2000)
    chosen = settings(path, words=40, ann_from=500, recall=0.8)
    (tmp_path / "index").mkdir()
    record = build(tmp_path / "index", open_corpus(chosen, tmp_path), anywhere, chosen)
    assert record["partitions"] == round(2000**0.5)
    assert record["probes"] < record["partitions"]
    assert record["recall"] >= 0.8
    write_json(tmp_path / "index" / "manifest.json", {"record": record})
    stored = rows(tmp_path / "index")
    vectors, keys = np.array([row["vector"] for row in stored]), np.array([row["key"] for row in stored])
    asked = vectors[:256].astype(np.float32)  # by key, as the sample is
    found = Table(tmp_path / "index").nearest(asked, 10, record["probes"], ["key"])
    best = np.argsort(-(asked @ vectors.T), axis=1)[:, :10]
    shares = [
        len(set(one.column("key").to_pylist()) & set(keys[row].tolist())) / 10
        for one, row in zip(found, best, strict=True)
    ]
    assert record["recall"] == pytest.approx(np.mean(shares), abs=1e-9)
    exact = Searcher(tmp_path / "index", anywhere)
    assert len(exact.documents(["anything at all"], 1500)[0]) == 1500  # more than the groups hold: exact then


def test_killed_twice_it_ends_as_if_it_never_had_been(tmp_path: Path):
    path = write_documents(tmp_path / "rows.jsonl", 1500)
    folder = tmp_path / "index"
    for commits in (4, 9):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.search.slow", str(folder), str(path)],
            cwd=REPOSITORY,
            stderr=subprocess.DEVNULL,
        )
        data = folder / "passages.lance" / "data"
        deadline = time.monotonic() + 60
        while len(list(data.glob("*"))) < commits and time.monotonic() < deadline:
            assert child.poll() is None, "it ended before it was killed"
            time.sleep(0.001)
        os.kill(child.pid, signal.SIGKILL)  # a file of the next commit has just been written or is being written
        assert child.wait() == -signal.SIGKILL
    kept = len(Table(folder))
    assert 0 < kept < 1500
    seen: list[str] = []
    make(folder, settings(path, words=40), seen)
    assert len(seen) == 1500 - kept
    make(tmp_path / "whole", settings(path, words=40))
    assert rows(folder) == rows(tmp_path / "whole")


def test_a_new_index_takes_over_the_rows_of_the_last_and_replaces_it(tmp_path: Path):
    workspace, path = Workspace(tmp_path / "work"), tmp_path / "rows.jsonl"
    origin, seen = Origin("vectors", "line"), []

    def run(key: str, made_by: Origin = origin):
        def fill(folder: Path) -> dict[str, object]:
            begin(folder, made_by)
            return make(folder, settings(path), seen)

        return workspace.run("index", key * 16, fill)

    write_rows(path, [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}])
    first = run("a")
    held = Searcher(first.folder, embed)
    write_rows(path, [{"id": "a", "text": "one"}, {"id": "c", "text": "three"}])
    second = run("b")
    assert seen == ["one", "two", "three"]
    assert newest(workspace.root, "b") == second.folder
    retire(second.folder, origin)
    assert [hit.id for hit in held.search(["two"], 1)[0]] == ["b"]  # somebody is reading it: it stays, whole
    first.held.close()
    held._held.close()
    retire(second.folder, origin)
    assert not first.folder.exists()
    run("c", Origin("other vectors", "line"))
    assert seen[3:] == ["one", "three"]
    assert newest(workspace.root, "nobody's") is None
