"""Samples of an evaluation: the worst first, ten at random, and no text where none may be kept."""

from pathlib import Path

import numpy as np
import pytest

from sluice.evaluation.samples import write_samples
from sluice.evaluation.scored import Scored
from sluice.tasks.classification import Classification
from sluice.tasks.seq2seq import Summarization, Written

TEST = {"document": ["long <b>one</b>", "long two"], "summary": ["one\nfirst", "two"], "origin": ["a:1", "a:2"]}


def written(*texts: str) -> Scored:
    outputs = [Written(text, finished=True, truncated=False) for text in texts]
    return Scored(Summarization(), [], outputs, [["one", "first"], ["two"]])


def test_source_reference_and_output_stand_side_by_side_worst_first(tmp_path: Path):
    write_samples(tmp_path, written("first", "nothing alike"), TEST, 5, keep_texts=True, seed=0)
    assert (tmp_path / "errors.csv").read_text().splitlines() == [
        "grade,predicted,right,origin,document",
        "0.0000,nothing alike,two,a:2,long two",
    ]
    page = (tmp_path / "samples.html").read_text()
    assert "one | first" in page
    assert "long &lt;b&gt;one" in page
    assert page.count("<tr>") == 2 + 3  # two headers, one worst, two at random


def test_no_text_of_input_or_answer_is_left_where_none_may_be_kept(tmp_path: Path):
    write_samples(tmp_path, written("first", "nothing alike"), TEST, 5, keep_texts=False, seed=0)
    for file in ("errors.csv", "samples.html"):
        text = (tmp_path / file).read_text()
        assert "a:2" in text
        assert not any(word in text for word in ("long", "nothing", "first", "two"))


@pytest.mark.parametrize("keep_texts", [True, False])
def test_labels_are_no_text_and_the_surest_error_comes_first(tmp_path: Path, keep_texts: bool):
    outputs = [np.array([2.0, 0.0]), np.array([5.0, 0.0]), np.array([0.0, 1.0])]
    scored = Scored(Classification(), ["x", "y"], outputs, ["y", "y", "y"])
    test = {"text": ["one", "two", "three"], "label": ["y"] * 3, "origin": ["a:1", "a:2", "a:3"]}
    write_samples(tmp_path, scored, test, 5, keep_texts, seed=0)
    header, first, second = (tmp_path / "errors.csv").read_text().splitlines()
    assert header.startswith("confidence,predicted,right,origin")
    assert [line.split(",")[1:4] for line in (first, second)] == [["x", "y", "a:2"], ["x", "y", "a:1"]]
    assert ("two" in first) is keep_texts
