"""Rows with lists of labels: however a file writes them, empty ones too, and what checks make of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from sluice.data.inspection.settings import Checks
from sluice.data.prepare import load, prepare
from sluice.data.sources.labels import divided
from sluice.data.sources.tabular import Files
from sluice.errors import UserError
from sluice.evaluation.slices import divide
from sluice.tasks.multilabel import Multilabel
from tests.model.test_multilabel import make_rows

TASK = Multilabel()


def write(path: Path, rows: dict[str, list[str]]) -> Path:
    """The rows as JSONL."""
    lines = zip(rows["text"], rows["labels"], strict=True)
    objects = [{"text": text, "labels": cell.split("\n") if cell else []} for text, cell in lines]
    path.write_text("".join(json.dumps(one) + "\n" for one in objects), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("cells", "lists"),
    [
        (["a, b", "c", ""], [["a", "b"], ["c"], []]),
        (["a, b|c", "d, e", ""], [["a, b", "c"], ["d, e"], []]),
        (["a; b c", "d,e"], [["a", "b c"], ["d,e"]]),
        (["['a', 'b, c']", "[]", '["d"]'], [["a", "b, c"], [], ["d"]]),
        ([["a, b"], "c|d", None], [["a, b"], ["c", "d"], None]),
        (["[draft", "[a] b]"], [["[draft"], ["[a] b]"]]),
    ],
)
def test_a_column_is_divided_as_it_divides_itself(cells: list[object], lists: list[object]):
    assert divided(cells) == lists


def test_csv_and_jsonl_of_the_same_rows_prepare_alike(tmp_path: Path):
    rows = make_rows(200)
    lines = zip(rows["text"], rows["labels"], strict=True)
    table = "text,labels\n" + "".join(f'{text},"{cell.replace(chr(10), "|")}"\n' for text, cell in lines)
    (tmp_path / "rows.csv").write_text(table, encoding="utf-8")
    records = []
    for path in (tmp_path / "rows.csv", write(tmp_path / "rows.jsonl", rows)):
        folder = tmp_path / path.suffix
        records.append(prepare(Files(name="x", train=str(path)), TASK, folder, True, Checks()))
    assert records[0]["data"] == records[1]["data"]
    assert "empty_labels" not in records[0]["dropped"]
    assert records[0]["labels"]["train"]["named"] < records[0]["rows"]["train"]
    found = load(tmp_path / ".csv")["train"].to_dict()
    assert "" in found["labels"]
    assert set(TASK.labels(found)) == {"city", "fruit", "metal", "named"}


def test_the_order_of_labels_makes_no_conflict_but_another_label_does(tmp_path: Path):
    rows = make_rows(100)
    for text, labels in [
        ("same text here", "fruit\ncity"),
        ("Same  text here", "city\nfruit"),
        ("odd one", "city"),
        ("odd one", "city\nfruit"),
    ]:
        rows["text"].append(text)
        rows["labels"].append(labels)
    source = Files(name="x", train=str(write(tmp_path / "rows.jsonl", rows)))
    dropped = prepare(source, TASK, tmp_path / "out", True, Checks())["dropped"]
    assert dropped["conflict"] == 2
    assert dropped["duplicate"] == 1


def test_a_label_that_train_never_shows_and_rows_that_are_all_alike_are_refused(tmp_path: Path):
    train, test = write(tmp_path / "train.jsonl", make_rows(80)), tmp_path / "test.jsonl"
    test.write_text('{"text": "never seen", "labels": ["city", "rare"]}\n', encoding="utf-8")
    source = Files(name="x", train=str(train), test=str(test))
    with pytest.raises(UserError, match=r"the label 'rare' is in test but never in train: .*test.jsonl:1"):
        prepare(source, TASK, tmp_path / "out", True, Checks())
    write(tmp_path / "none.jsonl", {"text": make_rows(80)["text"], "labels": [""] * 80})
    source = Files(name="x", train=str(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match=r"training rows have no label, .* data.columns.labels=..."):
        prepare(source, TASK, tmp_path / "out", True, Checks())


def test_a_row_is_in_the_slice_of_each_of_its_labels():
    test = {"text": ["p", "q", "r"], "labels": ["a\nb", "", "b"]}
    found = divide(test, test["text"], ["labels"], 1, ["labels"])
    assert {one.name: one.rows.tolist() for one in found} == {"labels=a": [0], "labels=b": [0, 2]}
    assert all(one.rows.dtype == np.int64 for one in found)


def test_lists_of_class_numbers_become_their_names():
    import datasets

    from sluice.data.sources.hub import _cells

    features = datasets.Features({"labels": datasets.List(datasets.ClassLabel(names=["city", "fruit"]))})
    rows = datasets.Dataset.from_dict({"labels": [[0, 1], [], [1]]}, features=features)
    assert _cells("x", rows, {"labels": "labels"}).values["labels"] == [["city", "fruit"], [], ["fruit"]]
