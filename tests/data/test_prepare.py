"""Preparing rows: what goes, why, where it is counted, and what the digests promise."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sluice.data.inspection.settings import Checks
from sluice.data.prepare import load, report_lines
from sluice.data.rows import normalise, row_hashes
from sluice.errors import UserError

Prepare = Callable[..., dict[str, Any]]
NOUNS = ["river", "gate", "valve", "pump", "lake", "canal", "harbour", "dam", "meadow", "bridge", "tunnel", "tower"]
ROWS = [
    (f"{random.Random(at).sample(NOUNS, 5)} are what row {at * 7919} is about", ("wet", "dry")[at % 2])
    for at in range(200)
]


def dropped(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "dropped.jsonl").read_text().splitlines()]


def test_rows_come_back_by_side_with_their_hash(prepared: Prepare, tmp_path: Path) -> None:
    record = prepared(ROWS)
    rows = load(tmp_path)
    assert {side: len(rows[side]) for side in rows} == record["rows"]
    assert sum(record["rows"].values()) == 200
    assert rows["train"].column_names == ["text", "label", "group", "origin", "row"]
    hashes = np.array([int(name, 16) for name in rows["train"]["row"]], np.uint64)
    assert (hashes == row_hashes(rows["train"]["text"])).all()
    assert record.items() <= json.loads((tmp_path / "report.json").read_text()).items()


def test_the_order_of_the_input_does_not_matter(prepared: Prepare) -> None:
    rows = [*ROWS, ("A River", "wet"), ("a  river", "wet")]
    one, other = prepared(rows), prepared(rows[::-1])
    assert one["data"] == other["data"]
    assert one["split"] == other["split"]


def test_new_rows_change_the_digests_and_move_no_old_row(prepared: Prepare, tmp_path: Path) -> None:
    def sides() -> dict[str, str]:
        return {name: side for side, part in load(tmp_path).items() for name in part["row"]}

    one, before = prepared(ROWS[:150]), sides()
    other, after = prepared(ROWS), sides()
    assert one["data"] != other["data"]
    assert one["split"] != other["split"]
    assert before.items() <= after.items()


def test_each_dropped_row_has_a_reason_and_an_origin(prepared: Prepare, tmp_path: Path) -> None:
    bad = [
        ("  ", "wet"),
        ("no label", ""),
        ("Two labels", "wet"),
        ("two  labels", "dry"),
        ("SAME", "wet"),
        ("same", "wet"),
    ]
    record = prepared([*ROWS, *bad])
    assert record["dropped"] == {"empty_text": 1, "empty_label": 1, "conflict": 2, "duplicate": 1}
    assert sum(record["rows"].values()) + sum(record["dropped"].values()) == 206
    rows = dropped(tmp_path)
    assert {row["origin"]: row["reason"] for row in rows}["listed:201"] == "empty_text"
    assert {row["text"] for row in rows if row["reason"] == "conflict"} == {"Two labels", "two  labels"}


def test_dropped_texts_can_be_left_out(prepared: Prepare, tmp_path: Path) -> None:
    prepared([*ROWS, ("secret", "")], keep_texts=False)
    assert dropped(tmp_path) == [{"reason": "empty_label", "origin": "listed:201"}]


def test_a_published_test_stays_and_train_gives_way(prepared: Prepare, tmp_path: Path) -> None:
    rows = [
        *ROWS,
        ("leaked", "wet"),
        ("Leaked", "wet"),
        ("twice", "dry"),
        ("twice", "wet"),
        ("seen", "wet"),
        ("seen", "dry"),
    ]
    sides = ["train"] * 100 + ["validation"] * 50 + ["test"] * 50
    record = prepared(rows, sides=[*sides, "train", "test", "test", "test", "train", "validation"])
    assert record["dropped"] == {"in_test": 1, "in_validation": 1}
    assert record["rows"] == {"train": 100, "validation": 51, "test": 53}
    assert any("2 published rows" in warning for warning in record["warnings"])


LONG = "Water goes through gates and so do models, nothing reaches a user that has not been measured and compared"


def test_near_duplicates_without_a_group_share_one(prepared: Prepare, tmp_path: Path) -> None:
    record = prepared([*ROWS, *((f"{LONG}{end}", "wet") for end in ("", ".", "!", " ", "?"))])
    assert "near_duplicate" not in record["dropped"]
    parts = [part.filter(lambda row: row["text"].startswith("Water")) for part in load(tmp_path).values()]
    assert sorted(len(part) for part in parts) == [0, 0, 4]  # LONG and LONG + " " are one text
    assert len({group for part in parts for group in part["group"]}) == 1


def test_near_duplicates_across_given_groups_go(prepared: Prepare, tmp_path: Path) -> None:
    rows = [*ROWS, (LONG, "wet"), (f"{LONG}!", "wet"), (f"{LONG}?", "wet")]
    groups = [f"file{at % 40}" for at in range(200)]
    record = prepared(rows, groups=[*groups, "a.py", "a.py", "b.py"])
    assert record["dropped"]["near_duplicate"] in (1, 2)
    kept = {row["group"] for part in load(tmp_path).values() for row in part if row["text"].startswith("Water")}
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("rows", "fields", "message"),
    [
        ([("a", "x"), ("b", "x")], {"sides": ["train", "test"]}, "no rows for validation: 2 rows"),
        ([(text, "x") for text, _ in ROWS], {}, "training rows have the label 'x', expected two"),
        (
            [*ROWS, ("new", "odd"), ("newer one", "odd")],
            {"sides": ["train"] * 100 + ["validation"] * 50 + ["test"] * 52},
            "the label 'odd' is in test but never in train: listed:20., listed:20.\\. Add",
        ),
        ([("", "x")], {}, "no rows for train: 0 rows"),
        ([("a", "x")], {"sides": ["dev"]}, "the side 'dev'; expected train, validation, test or null"),
    ],
)
def test_rows_that_nobody_can_train_on_are_refused(
    prepared: Prepare, rows: list[tuple[str, str]], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        prepared(rows, **fields)


def test_warnings_for_few_rows_and_broken_text(prepared: Prepare) -> None:
    rows = [("caf\ufffd one", "x"), ("one tea", "y"), ("gate", "x"), ("water", "y")]
    record = prepared(rows, sides=["train", "train", "validation", "test"], checks=Checks(max_broken=None))
    assert any("broken characters" in warning and "listed:1" in warning for warning in record["warnings"])
    assert any("only 2 training rows" in warning for warning in record["warnings"])


def test_a_half_written_folder_is_written_again(prepared: Prepare, tmp_path: Path) -> None:
    (tmp_path / "rows" / "train").mkdir(parents=True)
    (tmp_path / "rows" / "train" / "data-00000-of-00001.arrow").write_bytes(b"half a")
    prepared(ROWS)
    assert sum(map(len, load(tmp_path).values())) == 200


def test_the_report_fits_a_screen(prepared: Prepare) -> None:
    record = prepared([*ROWS, ("", "wet")])
    lines = report_lines(record)
    assert lines[0].startswith("rows  train ")
    assert any("empty_text 1" in line for line in lines)
    assert len(lines) < 10


def test_normal_form_and_hash() -> None:
    assert normalise("  Straße\u00a0\tA\n") == "strasse a"
    hashes = row_hashes(["A b", "a  B ", "c"])
    assert hashes.dtype == np.uint64
    assert hashes[0] == hashes[1] != hashes[2]
    assert f"{hashes[2]:016x}" == "373f6364cd072c1b"  # stored in manifests: it must never change
