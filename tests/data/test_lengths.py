"""Token lengths: counted whole, told by side, and refused beyond the bound."""

from pathlib import Path

import pytest

from sluice.data.inspection.lengths import PLOT, check_lengths, limit_of, refuse_truncated, token_lengths
from sluice.data.inspection.settings import Checks
from sluice.errors import UserError
from sluice.models.encoder import Encoder
from sluice.tasks.classification import Classification

TASK = Classification(max_length=8)
TEXTS = ["gate", "gate " * 7, "gate " * 6, "gate " * 40]


def test_lengths_are_counted_as_if_nothing_were_cut() -> None:
    tokenizer = Encoder(vocabulary=300).tokenizer(TEXTS * 20, TASK.max_length)
    done = TASK.encode(tokenizer, TEXTS)
    rows = {"train": {"text": TEXTS}, "test": {"text": TEXTS}}
    found = token_lengths(tokenizer, TASK, rows, {"train": done})
    whole = [len(tokenizer(text)["input_ids"]) for text in TEXTS]
    assert found == {"train": whole, "test": whole}
    assert max(len(one.ids) for one in done) == limit_of(tokenizer, TASK) == 8 < max(whole)


def test_figures_and_plot_by_side(tmp_path: Path) -> None:
    record = check_lengths({"train": [*range(1, 101)], "test": [8, 9], "validation": []}, 8, Checks(), tmp_path)
    assert record["limit"] == 8
    assert record["sides"]["train"] == {"mean": 50.5, "p50": 50.5, "p95": 95.05, "max": 100.0, "truncated": 0.92}
    assert record["sides"]["test"]["truncated"] == 0.5
    assert set(record["sides"]) == {"train", "test"}
    assert (tmp_path / PLOT).read_bytes().startswith(b"\x89PNG")


def test_a_side_that_is_cut_too_much_is_refused_with_the_plot_on_disk(tmp_path: Path) -> None:
    checks = Checks(max_truncated=0.1)
    with pytest.raises(UserError, match=r"50\.0 % of the test texts .* at 8 tokens.*\n.*task\.max_length") as caught:
        check_lengths({"train": [1] * 10, "test": [8, 9]}, 8, checks, tmp_path)
    assert str(tmp_path / PLOT) in str(caught.value)
    assert (tmp_path / PLOT).exists()
    record = check_lengths({"test": [8, 9]}, 8, Checks(max_truncated=0.5), tmp_path)
    with pytest.raises(UserError):
        refuse_truncated(record, checks, tmp_path)
