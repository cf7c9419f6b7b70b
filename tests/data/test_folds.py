"""Cross-validation folds: each row tested once, groups whole, the rows' own test side untouched."""

from pathlib import Path

import pytest

from sluice.data.prepare import load
from sluice.errors import UserError
from sluice.evaluation.folds import divide, margins, summary
from sluice.tasks.classification import Classification
from tests.conftest import make_rows

FOLDS = 3


@pytest.fixture
def folded(prepared, tmp_path: Path):
    """The prepared rows by side, each fold's rows by side, and the records of the folds."""
    rows = make_rows(240)
    prepared(rows, groups=[f"author {index % 40}" for index in range(len(rows))])
    folders = [tmp_path / f"fold{fold}" for fold in range(1, FOLDS + 1)]
    records = [
        divide(tmp_path, folder, fold=fold, folds=FOLDS, task=Classification(), seed=0, data="d")
        for fold, folder in enumerate(folders, 1)
    ]
    return load(tmp_path), [load(folder) for folder in folders], records


def test_every_row_is_tested_once_and_the_test_side_never(folded):
    whole, folds, records = folded
    tested = sorted(row for fold in folds for row in fold["test"]["row"])
    assert tested == sorted([*whole["train"]["row"], *whole["validation"]["row"]])
    for fold, record in zip(folds, records, strict=True):
        sides = [set(fold[side]["row"]) for side in ("train", "validation", "test")]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides)) == len(tested)
        assert not set.union(*sides) & set(whole["test"]["row"])
        assert record["rows"] == {side: len(fold[side]) for side in fold}
        assert sum(record["labels"]["test"].values()) == record["rows"]["test"]
    assert len({record["split"] for record in records}) == FOLDS
    assert fold["train"].features == whole["train"].features


def test_a_group_is_never_on_two_sides(folded):
    for fold in folded[1]:
        groups = [set(fold[side]["group"]) for side in ("train", "validation", "test")]
        assert sum(map(len, groups)) == len(set.union(*groups))


def test_a_fold_is_the_same_each_time_and_other_with_another_seed(folded, tmp_path: Path):
    again = divide(tmp_path, tmp_path / "again", fold=1, folds=FOLDS, task=Classification(), seed=0, data="d")
    other = divide(tmp_path, tmp_path / "other", fold=1, folds=FOLDS, task=Classification(), seed=1, data="d")
    assert again == folded[2][0]
    assert other["split"] != again["split"]


def test_a_label_that_a_fold_never_trains_on_is_named(prepared, tmp_path: Path):
    rows = [*make_rows(120), *((f"the only rare one {word}", "rare") for word in ("iron", "apple", "rhine"))]
    groups = [*(f"author {index % 30}" for index in range(120)), *["hermit"] * 3]
    prepared(rows, groups=groups, sides=["train" if group == "hermit" else None for group in groups])

    def divide_all() -> None:
        for fold in (1, 2, 3):
            divide(tmp_path, tmp_path / f"fold{fold}", fold=fold, folds=3, task=Classification(), seed=0, data="d")

    with pytest.raises(UserError, match=r"evaluate.folds=3: in fold \d no training row has the label 'rare'"):
        divide_all()


def test_mean_and_spread_done_by_hand():
    def record(accuracy: float, **more: float):
        margin = {"majority": {"accuracy": {"mean": 0.0}, "model - accuracy": {"mean": accuracy - 0.5}}}
        return {"metrics": {"accuracy": accuracy, **more}, "intervals": {"accuracy": {}}, "baselines": margin}

    records = [record(0.8, auroc=0.9), record(0.9), record(1.0, auroc=0.9)]
    assert summary(records) == {
        "accuracy": {"mean": pytest.approx(0.9), "std": pytest.approx(0.1), "folds": [0.8, 0.9, 1.0]}
    }
    assert margins(records)["majority"]["accuracy"]["mean"] == pytest.approx(0.4)
