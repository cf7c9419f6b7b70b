"""What of the user's files becomes documents, and which mistakes are named how."""

from pathlib import Path

import pytest

from sluice.errors import UserError
from sluice.search.documents import Document, open_corpus
from sluice.search.settings import Index
from tests.search.vectors import write_rows


def read(tmp_path: Path, pattern: str, **more: object) -> list[Document]:
    return list(open_corpus(Index(corpus=(str(tmp_path / pattern),), **more), tmp_path).read())


def test_a_text_file_is_a_document_or_each_of_its_lines_is(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("one\n\ntwo\n")
    assert [(one.text, one.line) for one in read(tmp_path, "*.txt")] == [("one\n\ntwo\n", None)]
    lines = read(tmp_path, "*.txt", lines=True)
    assert [(one.text, one.id) for one in lines] == [("one", f"{path}:1"), ("", f"{path}:2"), ("two", f"{path}:3")]


def test_markdown_has_its_heading_as_title(tmp_path: Path):
    (tmp_path / "page.md").write_text("# How to  \n\nDo it.\n")
    assert [one.title for one in read(tmp_path, "**/*.md")] == ["How to"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_tables_name_documents_by_id_or_by_place(tmp_path: Path, kind: str):
    import pandas as pd

    frame = pd.DataFrame({"id": ["a", "b"], "title": ["A", "B"], "text": ["one", "two"], "note": ["n", "m"]})
    path = tmp_path / f"rows.{kind}"
    write = {
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "csv": lambda: frame.to_csv(path, index=False),
        "parquet": lambda: frame.to_parquet(path),
    }
    write[kind]()
    assert [(one.id, one.title, one.text) for one in read(tmp_path, path.name)] == [
        ("a", "A", "one"),
        ("b", "B", "two"),
    ]
    assert [one.title for one in read(tmp_path, path.name, title="note")] == ["n", "m"]
    frame = frame[["text"]]
    write[kind]()
    first = 2 if kind == "csv" else 1
    assert [(one.id, one.line) for one in read(tmp_path, path.name)] == [
        (f"{path}:{first}", first),
        (f"{path}:{first + 1}", first + 1),
    ]


@pytest.mark.parametrize(
    ("name", "content", "more", "wanted"),
    [
        ("a.docx", b"x", {}, "is of no known kind, expected .md"),
        ("a.jsonl", b'{"body": "x"}\n', {}, "index.column="),
        ("a.jsonl", b'{"text": "x"}\n', {"id": "key"}, "no column 'key'; found: text. See index.id"),
        ("a.csv", b"text\n\xff\n", {}, "index.encoding="),
        ("a.txt", b"\xff\n", {}, "index.encoding=cp1252"),
        ("a.txt", b"x", {"encoding": "nothing"}, "index.encoding=nothing: no such encoding"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', {}, "half of a surrogate pair"),
    ],
)
def test_a_mistake_names_file_and_option(tmp_path: Path, name: str, content: bytes, more: dict[str, str], wanted: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as told:
        read(tmp_path, name, **more)
    assert wanted in str(told.value)
    assert name in str(told.value) or "encoding=nothing" in wanted


def test_the_digest_follows_the_content(tmp_path: Path):
    path = write_rows(tmp_path / "rows.jsonl", [{"text": "one"}])
    settings = Index(corpus=(str(path),))
    before = open_corpus(settings, tmp_path).digest
    assert open_corpus(settings, tmp_path).digest == before
    write_rows(path, [{"text": "two"}])
    assert open_corpus(settings, tmp_path).digest != before


def test_the_default_documents_are_whole_docstrings_with_their_places(tmp_path: Path):
    documents = list(open_corpus(Index(packages=("requests",)), tmp_path).read())
    place = {one.id: one for one in documents}
    get = next(one for one in documents if one.text.startswith("Sends a GET request."))
    assert get.source == "requests/api.py"
    assert get.title == "requests.api.get"
    assert ":rtype: requests.Response" in get.text
    assert len(place) == len(documents) > 100
    with pytest.raises(UserError, match=r"index\.packages names the package 'no_such_package'"):
        open_corpus(Index(packages=("no_such_package",)), tmp_path)
