"""Batch prediction: reading in blocks, the columns of a result, writing, and the memory that all this takes."""

import gzip
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from sluice.batch.blocks import BLOCK_BYTES
from sluice.batch.job import merge, part, predict_parts, refuse_collision
from sluice.batch.readers.formats import open_reader
from sluice.batch.settings import Predict
from sluice.errors import UserError
from sluice.inference.columns import predictions, result_columns
from sluice.tasks.classification import ClassificationResult
from sluice.tasks.pair_classification import PairClassification
from tests.conftest import REPOSITORY

ROWS = [
    {"id": 7, "text": 'a "quoted", text\nof two lines', "when": datetime(2026, 1, 2, 3), "tags": ["x", "y"], "n": 0.5},
    {"id": 8, "text": None, "when": None, "tags": None, "n": None},
    {"id": 9, "text": "last", "when": datetime(2026, 1, 4), "tags": [], "n": 2.0},
]
TEXTS = ['a "quoted", text\nof two lines', "", "last"]


def parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)
    return path


def jsonl(path: Path) -> Path:
    lines = [json.dumps(row, default=str) for row in ROWS]
    path.write_text("\n".join([lines[0], "", *lines[1:]]) + "\n")
    return path


def csv(path: Path) -> Path:
    path.write_text('id,text,n\n7,"a ""quoted"", text\nof two lines",0.5\n\n8,,\n9,last,2.0\n')
    return path


def merged(path: Path, target: Path, **settings) -> Path:
    """The file's rows with a prediction each, in `target`."""
    reader = open_reader(path, Predict(block_rows=2, **settings))
    for block in reader.blocks():
        made = pa.table({"label": [text or None for text in block.texts]})
        pq.write_table(made, part(target.parent, block.number))
    merge(reader, target.parent, target, target.suffix[1:], {"label": "predicted_label"})
    return target


@pytest.mark.parametrize("write", [parquet, jsonl, csv])
def test_blocks_are_the_rows_in_order(write, tmp_path):
    path = write(tmp_path / f"rows.{write.__name__}")
    blocks = list(open_reader(path, Predict(block_rows=2)).blocks())
    assert [block.number for block in blocks] == [0, 1]
    assert [text for block in blocks for text in block.texts] == TEXTS
    lines = [line for block in blocks for line in block.lines]
    assert lines == {"parquet": [1, 2, 3], "jsonl": [1, 3, 4], "csv": [2, 5, 6]}[write.__name__]


def test_long_rows_make_short_blocks(tmp_path):
    (tmp_path / "rows.csv").write_text("text,other\n" + f"a,{'x' * (BLOCK_BYTES // 2)}\n" * 5)
    assert [len(block.texts) for block in open_reader(tmp_path / "rows.csv", Predict()).blocks()] == [2, 2, 1]


def test_a_gzipped_file_and_another_encoding(tmp_path):
    with gzip.open(tmp_path / "rows.tsv.gz", "wb") as file:
        file.write('text\tn\ncaf\xe9 "au lait\t1\n'.encode("latin-1"))
    reader = open_reader(tmp_path / "rows.tsv.gz", Predict(encoding="latin-1", quoting="none"))
    assert [text for block in reader.blocks() for text in block.texts] == ['caf\xe9 "au lait']


def test_parquet_keeps_types_and_order(tmp_path):
    table = pq.read_table(merged(parquet(tmp_path / "rows.parquet"), tmp_path / "out.parquet"))
    assert table.column_names == ["id", "text", "when", "tags", "n", "predicted_label"]
    assert table.drop_columns(["predicted_label"]).to_pylist() == ROWS
    assert table.schema.field("when").type == pa.timestamp("us")
    assert table.column("predicted_label").to_pylist() == [TEXTS[0], None, "last"]


def test_csv_keeps_its_strings(tmp_path):
    told = merged(csv(tmp_path / "rows.csv"), tmp_path / "out.csv").read_text()
    assert told == (
        'id,text,n,predicted_label\n7,"a ""quoted"", text\nof two lines",0.5,"a ""quoted"", text\nof two lines"\n'
        "8,,,\n9,last,2.0,last\n"
    )
    table = pq.read_table(merged(tmp_path / "rows.csv", tmp_path / "out.parquet"))
    assert set(table.schema.types) == {pa.string()}
    assert table.column("n").to_pylist() == ["0.5", "", "2.0"]


def test_jsonl_stays_as_it_is_and_becomes_a_table(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "n": 1}\n{"n": 2.5, "text": "b"}\n{"text": "c", "more": {"x": [1]}}\n')
    lines = merged(path, tmp_path / "out.jsonl").read_text().splitlines()
    assert lines[1] == '{"n": 2.5, "text": "b", "predicted_label": "b"}'
    assert json.loads(lines[2]) == {"text": "c", "more": {"x": [1]}, "predicted_label": "c"}
    table = pq.read_table(merged(path, tmp_path / "out.parquet"))
    assert table.column("n").to_pylist() == [1.0, 2.5, None]
    assert table.column("more").to_pylist() == [None, None, {"x": [1]}]
    assert merged(path, tmp_path / "out.csv").read_text().splitlines()[3] == 'c,,"{""x"": [1]}",c'


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("rows.csv", 'text,n\n"a"b,1\n', ":2: a quote opens in this record.*predict.quoting=none"),
        ("rows.csv", "text,n\na,1\nb\n", ":3: 1 fields, expected 2"),
        ("rows.csv", "texte,n\na,1\n", "no column 'text'; found: texte, n.*predict.column=texte"),
        ("rows.csv", "text,n,n\na,1,2\n", ":1: two columns are called 'n'"),
        ("rows.csv", b"text\na\n\xe9\n", "Name the file's encoding: predict.encoding=cp1252"),
        ("rows.csv.gz", b"text\na\n", "not a whole gzip file"),
        ("rows.csv", "", "the file is empty"),
        ("rows.jsonl", '{"text": "a"}\n{"text": \n', ":2: not JSON at column"),
        ("rows.jsonl", '{"text": "a"}\n["b"]\n', ":2: a JSON list"),
        ("rows.jsonl", '{"text": "a"}\n{"txt": "b"}\n', ":2: no column 'text'; found: txt.*predict.column=txt"),
        ("rows.jsonl", '{"text": "a"}\n{"text": 5}\n', ":2: text is int '5', expected a string"),
        ("rows.jsonl", '{"text": "\\ud800"}\n', ":1: text holds half of a surrogate pair"),
        ("rows.parquet", "text\n", "not a Parquet file"),
        ("rows.pdf", "", "format not known by its name"),
    ],
)
def test_a_bad_file_is_named_with_line_and_option(name, content, wanted, tmp_path):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=wanted) as error:
        list(open_reader(path, Predict()).blocks())
    assert len(str(error.value).splitlines()) <= 2
    assert str(path) in str(error.value)
    assert "data." not in str(error.value)


def test_what_the_task_does_not_take_is_named_with_its_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ('["a", "b"]', "", "alone")))
    predictor = SimpleNamespace(task=PairClassification(), bundle=SimpleNamespace(labels=("a",)))
    with pytest.raises(UserError, match=r"rows\.jsonl:3: expected a pair .* predict\.column=\.\.\.$"):
        predict_parts(open_reader(path, Predict()), predictor, tmp_path)


def test_values_of_two_types_are_refused_only_for_a_table(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "n": 1}\n{"text": "b", "n": "x"}\n')
    assert merged(path, tmp_path / "out.jsonl").read_text().count("\n") == 2
    with pytest.raises(UserError, match=r"not of one type.*\.jsonl keeps them"):
        merged(path, tmp_path / "out.parquet")


def test_a_column_that_is_there_already_names_the_option(tmp_path):
    reader = open_reader(csv(tmp_path / "rows.csv"), Predict())
    with pytest.raises(UserError, match=r"has a column 'n' already.*predict.prefix=new_"):
        refuse_collision(reader, reader.names, ["label", "n"])


def test_the_columns_follow_from_the_result():
    labels = ["x", "y"]
    assert [one.name for one in result_columns(ClassificationResult, labels, scores=False)] == [
        "label",
        "score",
        "abstained",
    ]
    columns = result_columns(ClassificationResult, labels, scores=True)
    table = predictions(columns, [ClassificationResult(label="y", score=0.7, scores={"y": 0.7, "x": 0.3}), None])
    assert table.to_pylist() == [
        {"label": "y", "score": 0.7, "scores_x": 0.3, "scores_y": 0.7, "abstained": False},
        {"label": None, "score": None, "scores_x": None, "scores_y": None, "abstained": None},
    ]

    class Spans(BaseModel):
        count: int | None
        spans: list[dict[str, int]]

    table = predictions(result_columns(Spans, [], scores=False), [Spans(count=1, spans=[{"start": 3}])])
    assert table.to_pylist() == [{"count": 1, "spans": '[{"start": 3}]'}]


MEASURE = """
import resource, sys
from pathlib import Path
from tests.data.test_batch import merged
merged(Path(sys.argv[1]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_file(kind, tmp_path):
    peaks = []
    for rows in (400, 6000):
        path = wide(tmp_path / f"rows-{rows}.{kind}", rows)
        command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / f"out.{kind}")]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 2**10)
    assert path.stat().st_size > 180 * 2**20
    assert peaks[1] - peaks[0] < 90, peaks


def wide(path: Path, rows: int) -> Path:
    """A file of short texts beside 32 KiB of something else, written in steps."""
    import random

    other = random.Random(0).randbytes(16384).hex()
    if path.suffix == ".parquet":
        schema = pa.schema([("text", pa.string()), ("other", pa.string())])
        with pq.ParquetWriter(path, schema, compression="none") as writer:
            for start in range(0, rows, 200):
                ids = range(start, min(start + 200, rows))
                columns = {"text": [f"text {i}" for i in ids], "other": [f"{i}{other}" for i in ids]}
                writer.write_table(pa.table(columns), row_group_size=200)
        return path
    with path.open("w") as file:
        file.write("text,other\n" if path.suffix == ".csv" else "")
        for i in range(rows):
            row = {"text": f"text {i}", "other": f"{i}{other}"}
            file.write(f"text {i},{i}{other}\n" if path.suffix == ".csv" else json.dumps(row) + "\n")
    return path
