"""Each check finds what it is for, stops beyond its bound, and has told all it knows by then."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluice.data.inspection.settings import Checks
from sluice.data.prepare import load, prepare
from sluice.errors import UserError
from sluice.tasks.classification import Classification
from tests.data.conftest import Listed

Prepare = Callable[..., dict[str, Any]]
NOUNS = ["river", "gate", "valve", "pump", "lake", "canal", "harbour", "dam", "meadow", "bridge", "tunnel", "tower"]
ROWS = [
    (f"{' '.join(random.Random(at).sample(NOUNS, 6))} are what row {at * 7919} is about", ("wet", "dry")[at % 2])
    for at in range(200)
]
SIDES = ["train"] * 100 + ["validation"] * 50 + ["test"] * 50
LONG = "Water goes through gates and so do models, nothing reaches a user that has not been measured and compared"
BAD: dict[str, tuple[Checks, list[tuple[str, str]], list[str]]] = {
    "empty cells": (Checks(max_empty=0.001), [("", "wet")], ["train"]),
    "texts over 50 characters": (Checks(long_characters=50, max_long=0.5), [], []),
    "duplicates": (Checks(max_duplicates=0.001), [(f" {ROWS[0][0].upper()} ", ROWS[0][1])], ["train"]),
    "near-duplicates": (Checks(max_near_duplicates=0.001), [(f"{ROWS[0][0]}!", ROWS[0][1])], ["train"]),
    "one text, two labels": (Checks(max_conflicts=0.001), [(ROWS[0][0], "dry")], ["train"]),
    "leaked rows, exact": (Checks(max_leaked=0.001), [ROWS[199]], ["train"]),
    "leaked rows, near": (Checks(max_nearly_leaked=0.001), [(f"{ROWS[199][0]}!", "dry")], ["train"]),
    "rarest label": (Checks(min_label_rows=5), [("a mist", "damp"), ("a fog", "damp")], ["train", "test"]),
    "imbalance": (Checks(max_imbalance=10), [("a mist", "damp"), ("a fog", "damp")], ["train", "test"]),
    "labels never held out": (Checks(max_missing_labels=0), [("a mist", "damp")], ["train"]),
    "broken characters": (Checks(max_broken=0.001), [("caf\ufffd", "wet")], ["train"]),
    "two alphabets in a word": (Checks(max_mixed_scripts=0.001), [("p\u0430ypal", "wet")], ["train"]),
    "other languages": (
        Checks(max_other_languages=0.01),
        [(f"Das ist der Satz Nummer {at} und er wurde noch nicht übersetzt", "wet") for at in range(9)],
        ["train"] * 9,
    ),
}


@pytest.mark.parametrize("title", BAD)
def test_a_check_beyond_its_bound_stops_with_the_report_on_disk(prepared: Prepare, tmp_path: Path, title: str) -> None:
    checks, rows, sides = BAD[title]
    with pytest.raises(UserError) as caught:
        prepared([*ROWS, *rows], sides=SIDES + sides, checks=checks)
    told = str(caught.value)
    assert told.startswith(f"{title}: ")
    assert told.count("\n") == 1
    setting = next(name for name in checks.model_fields_set if name.startswith(("max_", "min_")))
    assert f"checks.{setting}={getattr(checks, setting):g} allows no" in told
    assert told.endswith(f"Report: {tmp_path}/report.html")
    report = json.loads((tmp_path / "report.json").read_text())
    assert [check["title"] for check in report["checks"] if check["state"] == "stopped"] == [title]
    assert (tmp_path / "dropped.jsonl").exists()
    assert not (tmp_path / "rows").exists()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What the checks find in rows in which nothing is wrong."""
    folder = tmp_path_factory.mktemp("clean")
    record = prepare(Listed(rows=ROWS, sides=SIDES), Classification(), folder, True, Checks())
    return {check["title"]: check["found"] for check in record["checks"]}


@pytest.mark.parametrize("title", BAD)
def test_without_a_bound_the_same_rows_pass(prepared: Prepare, clean: dict[str, float], title: str) -> None:
    checks, rows, sides = BAD[title]
    lenient = Checks(long_characters=checks.long_characters)
    record = prepared([*ROWS, *rows], sides=SIDES + sides, checks=lenient)
    found = {check["title"]: check for check in record["checks"]}
    assert found[title]["state"] in ("warned", "passed")
    assert found[title]["found"] > 0
    assert title.startswith("texts over") or clean[title] != found[title]["found"]


def test_drift_stops_beyond_its_bound_and_not_by_chance(prepared: Prepare) -> None:
    mixed = random.Random(0).sample(ROWS, len(ROWS))
    foreign = [(f"{text.replace('are what', 'were never which')} at sea", label) for text, label in mixed[150:]]
    prepared(mixed, sides=SIDES, checks=Checks(max_drift=0.5, max_label_drift=0.0, max_length_drift=0.0))
    with pytest.raises(UserError, match=r"drift of words: test against .*checks\.max_drift=0\.7 allows no more"):
        prepared([*mixed[:150], *foreign], sides=SIDES, checks=Checks(max_drift=0.7))


def test_leaks_name_both_rows(prepared: Prepare, tmp_path: Path) -> None:
    rows = [*ROWS, (ROWS[160][0].upper(), ROWS[160][1]), (f"{ROWS[120][0]}!", ROWS[120][1])]
    record = prepared(rows, sides=[*SIDES, "train", "train"])
    leaks = [json.loads(line) for line in (tmp_path / "leaks.jsonl").read_text().splitlines()]
    named = [(leak["kind"], leak["held_out_origin"], leak["held_out_side"], leak["other_origin"]) for leak in leaks]
    assert named == [
        ("exact", "listed:161", "test", "listed:201"),
        ("near", "listed:121", "validation", "listed:202"),
    ]
    found = {check["title"]: check for check in record["checks"]}
    assert found["leaked rows, exact"]["rows"] == ["listed:161 = listed:201"]
    assert found["leaked rows, near"]["rows"] == ["listed:121 = listed:202"]
    assert any("listed:161 = listed:201" in warning for warning in record["warnings"])


def test_near_copies_of_one_text_are_all_found(prepared: Prepare) -> None:
    rows = [*ROWS, *((f"{LONG} number {at}", "wet") for at in range(20))]
    record = prepared(rows, sides=SIDES + ["train"] * 10 + ["test"] * 10)
    found = {check["title"]: check for check in record["checks"]}
    assert found["leaked rows, near"]["says"].startswith("10 of 110 rows")


def test_kept_columns_stay_with_the_rows_and_count_in_the_digest(prepared: Prepare, tmp_path: Path) -> None:
    shops = [("north", "south")[at % 3 == 0] for at in range(200)]
    plain, kept = prepared(ROWS), prepared(ROWS, columns={"shop": shops}, keep=("shop",))
    assert load(tmp_path)["train"].column_names == ["text", "label", "shop", "group", "origin", "row"]
    assert kept["data"] != plain["data"]
    assert kept["split"] == plain["split"]
    assert all(row["shop"] == shops[int(row["origin"].split(":")[1]) - 1] for row in load(tmp_path)["train"])
    assert "drift of column shop" in {check["title"] for check in kept["checks"]}


def test_a_column_whose_values_shift_is_a_finding(prepared: Prepare) -> None:
    shops = ["north"] * 150 + ["south"] * 50
    record = prepared(ROWS, sides=SIDES, columns={"shop": shops}, keep=("shop",))
    found = {check["title"]: check["state"] for check in record["checks"]}
    assert found["drift of column shop"] == "warned"
    with pytest.raises(UserError, match=r"checks\.max_column_drift=0\.5"):
        prepared(ROWS, sides=SIDES, columns={"shop": shops}, keep=("shop",), checks=Checks(max_column_drift=0.5))


def test_fewer_training_rows_are_a_part_of_more_and_the_rest_stays(prepared: Prepare, tmp_path: Path) -> None:
    def names(side: str) -> set[str]:
        return set(load(tmp_path)[side]["row"])

    whole = prepared(ROWS)
    test, validation, train = names("test"), names("validation"), names("train")
    some = prepared(ROWS, train_rows=60)
    sixty = names("train")
    assert len(sixty) == 60
    assert (names("test"), names("validation")) == (test, validation)
    assert some["left_out"] == {"over_train_rows": len(train) - 60}
    assert some["split"] != whole["split"]
    prepared(ROWS, train_rows=30)
    assert names("train") < sixty < train
    assert prepared(ROWS, train_rows=10_000)["split"] == whole["split"]
