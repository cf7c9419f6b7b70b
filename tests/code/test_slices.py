"""Slices: every row in one of a column's, small ones left out, weak ones told apart from chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.errors import UserError
from sluice.evaluation.slices import NONE, Slice, divide, judge, write_csv
from sluice.metrics.significance import Resampler, Sampling
from sluice.metrics.tallies import label_tally

COLUMNS = {
    "text": ["one", "two two", "three three three", "four four four four"] * 30,
    "label": ["a", "b", "a", "a"] * 30,
    "author": ["x", None, "y", "z"] * 30,
}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=9)), min_size=1, max_size=60))
def test_the_slices_of_a_column_divide_the_rows(rows: list[tuple[str, str]]):
    test = {"label": [label for label, _ in rows], "text": [text for _, text in rows]}
    for column in ("label", "length"):
        found = divide(test, test["text"], [column], least=1)
        held = sorted(row for one in found for row in one.rows.tolist())
        assert held in ([], list(range(len(rows))))  # a column with a single value divides nothing
        assert all(0 < len(one.rows) < len(rows) for one in found)


def test_small_slices_and_slices_of_all_rows_are_none():
    names = {
        one.name
        for one in divide({**COLUMNS, "site": ["s"] * 120}, COLUMNS["text"], ["label", "author", "site"], least=30)
    }
    assert names == {"label=a", "label=b", "author=x", "author=y", "author=z", f"author={NONE}"}
    assert {one.name for one in divide(COLUMNS, COLUMNS["text"], ["label", "author"], least=31)} == {"label=a"}


def test_length_is_cut_in_thirds_and_named_by_its_ends():
    lengths = list(range(1, 91))
    found = divide({}, ["x" * length for length in lengths], ["length"], least=10)
    assert [one.value for one in found] == ["1-30 characters", "31-60 characters", "61-90 characters"]


def test_language_is_that_of_the_text_unless_the_rows_have_such_a_column():
    pytest.importorskip("py3langid")
    texts = ["the weather in the mountains was very cold this winter"] * 20
    texts += ["das Wetter in den Bergen war diesen Winter sehr kalt"] * 20
    assert [one.name for one in divide({}, texts, ["language"], least=10)] == ["language=de", "language=en"]
    given_column = {"text": texts, "language": ["x"] * 10 + ["y"] * 30}
    assert [one.name for one in divide(given_column, texts, ["language"], least=10)] == ["language=x", "language=y"]


def test_an_unknown_column_is_named_beside_those_there_are():
    with pytest.raises(UserError, match=r"no column 'autor'. There are: length, language, text, label, author"):
        divide(COLUMNS, COLUMNS["text"], ["autor"], least=10)


def test_a_weak_slice_is_told_from_chance(tmp_path):
    """With 30 rows chance alone makes ten points: the least size and the bound keep that from being called weak."""
    rng = np.random.default_rng(0)
    rows, parts = 2000, 10
    named = np.arange(rows) % parts
    called = 0
    for trial in range(20):
        right = rng.random(rows) < 0.8
        tally = label_tally(right.astype(np.int64), np.ones(rows, np.int64), 2)
        slices = divide({"part": named.astype(str).tolist()}, [""] * rows, ["part"], least=100)
        judged = judge(tally, "accuracy", slices, Resampler(rows, Sampling(200, 0.95, trial)))
        called += sum(one.weak for one in judged)
    assert called <= 0.06 * 20 * parts
    right[named == 3] = rng.random(rows // parts) < 0.5
    tally = label_tally(right.astype(np.int64), np.ones(rows, np.int64), 2)
    judged = judge(tally, "accuracy", slices, Resampler(rows, Sampling(200, 0.95, 0)))
    worst = min(judged, key=lambda one: one.figure.mean)
    assert (worst.name, worst.weak) == ("part=3", True)
    assert worst.figure.mean == pytest.approx(right[named == 3].mean())
    assert worst.gap.mean == pytest.approx(right[named == 3].mean() - right.mean())
    write_csv(tmp_path / "slices.csv", judged, "accuracy")
    header, first, *rest = (tmp_path / "slices.csv").read_text().splitlines()
    assert header == "column,value,rows,accuracy,low,high,gap,gap_low,gap_high"
    assert first.startswith(f"part,3,200,{worst.figure.mean:.4f},")
    assert len(rest) == parts - 1


def test_where_less_is_better_the_largest_is_the_worst():
    from sluice.metrics.likelihood import likelihood_tally

    rows = [[1.0, 4]] * 100 + [[2.0, 4]] * 50
    tally = likelihood_tally(rows)
    parts = [Slice("kind", "easy", np.arange(100)), Slice("kind", "hard", np.arange(100, 150))]
    worst, best = judge(tally, "bits_per_byte", parts, Resampler(150, Sampling(200, 0.95, 0)))
    assert (worst.value, worst.weak) == ("hard", True)
    assert (best.value, best.weak) == ("easy", False)
