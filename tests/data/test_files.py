"""`Files` reads what is there, and says in one line what is wrong, where, and which option mends it."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from sluice.data.sources.tabular import Files
from sluice.errors import UserError

COLUMNS = {"text": "text", "label": "text"}


def read(path: Path, content: str | bytes | None = None, **fields: Any) -> list[dict[str, str | None]]:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows: list[dict[str, str | None]] = Files(name="x", train=str(path), **fields).read(COLUMNS).to_pylist()
    return rows


def texts(rows: list[dict[str, str | None]]) -> list[tuple[str | None, str | None]]:
    return [(row["text"], row["label"]) for row in rows]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\n"Gates, open",yes\n"say ""no""",no\n'),
        ("a.tsv", 'text\tlabel\nGates, open\tyes\nsay "no"\tno\n'),
        ("a.csv", b'\xef\xbb\xbftext,label\r\n"Gates, open",yes\r\nsay "no",no\r\n'),
        ("a.jsonl", '{"text": "Gates, open", "label": "yes"}\n{"label": "no", "text": "say \\"no\\""}\n'),
        ("a.csv.gz", gzip.compress(b'text,label\n"Gates, open",yes\nsay "no",no\n', mtime=0)),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"text": "Gates, open", "label": "yes"}\n{"text": "say \\"no\\"", "label": "no"}', mtime=0),
        ),
    ],
)
def test_every_text_format_gives_the_same_rows(tmp_path: Path, name: str, content: str | bytes) -> None:
    assert texts(read(tmp_path / name, content)) == [("Gates, open", "yes"), ('say "no"', "no")]


def test_parquet_numbers_its_rows_and_writes_labels_out(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["one", None], "label": [1, 0]}), path)
    rows = read(path)
    assert texts(rows) == [("one", "1"), ("", "0")]
    assert [row["origin"] for row in rows] == [f"{path}:1", f"{path}:2"]


def test_the_origin_is_the_physical_line_where_the_record_starts(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", 'text,label\n"two\nlines",a\n\nplain,b\n')
    assert [str(row["origin"]).rpartition(":")[2] for row in rows] == ["2", "5"]
    assert rows[0]["text"] == "two\nlines"


def test_columns_groups_and_header(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "a.csv",
        "ann,good,1\n,bad,0\n",
        header=False,
        columns={"text": "2", "label": "3", "group": "1"},
    )
    assert texts(rows) == [("good", "1"), ("bad", "0")]
    assert [row["group"] for row in rows] == ["ann", None]


def test_json_labels_may_be_numbers_and_booleans_and_nulls_are_empty(tmp_path: Path) -> None:
    lines = [{"text": "a", "label": 1}, {"text": "b", "label": True}, {"text": None, "label": "x"}]
    rows = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert texts(rows) == [("a", "1"), ("b", "True"), ("", "x")]


def test_given_files_give_the_sides_and_leave_the_missing_one_open(tmp_path: Path) -> None:
    paths = {side: tmp_path / f"{side}.csv" for side in ("train", "validation", "test")}
    for path in paths.values():
        path.write_text("text,label\na,b\n")
    names = {side: str(path) for side, path in paths.items()}
    sides = Files(name="x", **names).read(COLUMNS).column("side").to_pylist()
    assert sides == ["train", "validation", "test"]
    del names["validation"]
    assert Files(name="x", **names).read(COLUMNS).column("side").to_pylist() == [None, "test"]


SMS = 'label\ttext\nham\t"Hi there\nspam\tWIN a prize\nham\tHe said "\nham\tbye\n'


def test_a_quote_that_swallows_rows_is_refused_and_read_with_quoting_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sms\.tsv:2: a quote opens .* swallows .*data\.quoting=none"):
        read(tmp_path / "sms.tsv", SMS)
    assert len(read(tmp_path / "sms.tsv", SMS, quoting="none")) == 4


def test_every_row_of_a_tsv_with_unbalanced_quotes_is_read_or_the_first_bad_line_is_named(tmp_path: Path) -> None:
    """As the SMS spam collection is: 5,574 rows, quotes as they were typed. Common readers give 5,572 of them."""
    lines = [f"ham\tmessage number {row}" for row in range(5574)]
    for row, text in {811: '"Hello? she said', 812: 'and "bye', 2400: '"', 4000: '"a "" b', 5573: 'the end"'}.items():
        lines[row] = f"spam\t{text}"
    path = tmp_path / "sms.tsv"
    with pytest.raises(UserError, match=r"sms\.tsv:813: a quote opens .*data\.quoting=none") as caught:
        read(path, "\n".join(["label\ttext", *lines, ""]))
    assert str(caught.value).count("\n") == 0
    rows = read(path, quoting="none")
    assert texts(rows) == [tuple(line.split("\t")[::-1]) for line in lines]
    assert [row["origin"] for row in rows] == [f"{path}:{line}" for line in range(2, 5576)]


def test_columns_to_keep_come_as_strings(tmp_path: Path) -> None:
    lines = [{"text": "a", "label": 1, "shop": 7, "town": None}, {"text": "b", "label": 2, "shop": "x", "town": "y"}]
    rows = read(
        tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)), keep=("shop", "place"), columns={"place": "town"}
    )
    assert [(row["shop"], row["place"]) for row in rows] == [("7", ""), ("x", "y")]


def test_a_long_quoted_text_with_commas_and_lines_is_no_swallowing(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.csv", 'text,label\n"First, a line\nthen, another,\nend,",good\nshort,bad\nempty,\n')
    assert rows[0]["text"] == "First, a line\nthen, another,\nend,"


@pytest.mark.parametrize(
    ("name", "content", "fields", "message"),
    [
        ("a.csv", b"text,label\nfine,a\ncaf\xe9,b\n", {}, r"a\.csv:3: byte 0xe9 is not utf-8.*data\.encoding=latin-1"),
        ("a.csv", b"text,label\nfine \x93a\x94,a\n", {}, r"a\.csv:2: byte 0x93 .*data\.encoding=cp1252"),
        ("a.csv", "text,label\na,b\n".encode("utf-16"), {}, r"a\.csv:1: .*data\.encoding=utf-16"),
        ("a.csv", "text,label\na,b\n", {"encoding": "utf8000"}, r"data\.encoding=utf8000: no such encoding"),
        ("a.csv", "text,label\na,b\n\none,two,three\n", {}, r"a\.csv:4: 3 fields, expected 2\. Quote"),
        ("a.csv", "text,label\na,b\nalone\n", {}, r"a\.csv:3: 1 fields, expected 2\. Complete"),
        ("a.csv", 'text,label\n"never closed,a\nb,c\n', {}, r"a\.csv:2: a quote opens.*data\.quoting=none"),
        ("a.csv", 'text,label\na,b\n"early" end,a\n', {}, r"a\.csv:3: a quote opens.*data\.quoting=none"),
        ("a.csv", "", {}, r"a\.csv: no rows, the file is empty"),
        ("a.csv", "text,label\n", {}, r"a\.csv: no rows below the header"),
        ("a.csv", "texts,label\na,b\n", {}, r"no column 'text'; found: texts, label.*data\.columns\.text=texts"),
        ("a.csv", "text;label\na;b\n", {}, r"data\.delimiter='\";\"'"),
        ("a.csv", "text,text\na,b\n", {}, r"a\.csv:1: two columns are called 'text'.*data\.header=false"),
        ("a.csv", "text,label\na,b\n", {"columns": {"txt": "text"}}, r"data\.columns\.txt: .*data\.columns\.text=text"),
        ("a.csv", "text,label\na,b\n", {"columns": {"label": "text"}}, r"read the same column"),
        ("a.csv", "text,label\na,b\n", {"keep": ("shop",)}, r"no column 'shop'; found: text, label"),
        ("a.csv", "text,label\na,b\n", {"keep": ("label",)}, r"data\.keep=\['label'\]: the task's own"),
        ("a.csv", "text,label\na,b\n", {"columns": {"shop": "store"}}, r"data\.keep=\[shop\]"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', {}, r"a\.jsonl:2: not JSON at column 10"),
        ("a.jsonl", '["a", "b"]\n', {}, r"a\.jsonl:1: a JSON list, expected an object"),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text": "a"}\n', {}, r"a\.jsonl:2: no column 'label'; found: text"),
        ("a.jsonl", '{"text": 5, "label": 1}\n', {}, r"a\.jsonl:1: text is int '5', expected a string\."),
        ("a.jsonl", '{"text": "a", "label": [1]}\n', {}, r"a\.jsonl:1: label is list .*or a number"),
        ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', {}, r"a\.jsonl:1: text holds half of a surrogate pair"),
        ("a.jsonl", "\n", {}, r"a\.jsonl: no rows"),
        ("a.parquet", b"not parquet", {}, r"a\.parquet: not a Parquet file"),
        ("a.csv.gz", b"not gzip", {}, r"a\.csv\.gz: not a whole gzip file"),
        ("a.data", "text,label\na,b\n", {}, r"a\.data: format not known.*data\.format=csv"),
    ],
)
def test_mistakes_name_the_line_and_the_option(
    tmp_path: Path, name: str, content: str | bytes, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path / name, content, **fields)
    assert re.search(message, str(caught.value), re.DOTALL), caught.value
    assert str(caught.value).count("\n") <= 1


def test_a_missing_file_is_named_by_read_and_fingerprint(tmp_path: Path) -> None:
    source = Files(name="x", train=str(tmp_path / "none.csv"))
    with pytest.raises(UserError, match=r"none\.csv: no such file.*data\.train="):
        source.read(COLUMNS)
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        source.fingerprint()


@pytest.mark.parametrize(
    "fields",
    [
        {"train": "a.csv", "test": "a.csv"},
        {"train": ["b.csv", "a.csv"], "test": "a.csv"},
        {"train": []},
        {"train": "a.csv", "header": False, "columns": {"text": "0"}},
        {"train": "a.csv", "header": False, "keep": ["shop"]},
        {"train": "a.csv", "keep": ["group"]},
        {"train": "a.csv", "keep": ["shop", "shop"]},
        {"train": "a.csv", "train_rows": 0},
    ],
)
def test_contradictions_are_refused_before_anything_is_read(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Files(name="x", **fields)


def test_the_fingerprint_follows_content_and_options(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na,b\n")
    before = Files(name="x", train=str(path)).fingerprint()
    assert Files(name="x", train=str(path), encoding="latin-1").fingerprint() != before
    path.write_text("text,label\na,c\n")
    assert Files(name="x", train=str(path)).fingerprint() != before
