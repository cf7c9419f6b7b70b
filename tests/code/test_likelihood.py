"""Bits a byte and n-grams of bytes, counted by hand; how varied texts are."""

import math

import pytest

from sluice.metrics.generation import distinct, exact
from sluice.metrics.likelihood import byte_ngram, likelihood_tally
from sluice.tasks.generation import CausalLM


def test_bits_a_byte_are_those_of_all_rows_together():
    rows = [[math.log(2) * 8, 2], [math.log(2) * 1, 1]]
    assert likelihood_tally(rows).exact()["bits_per_byte"] == pytest.approx(3.0)


def test_n_grams_are_smoothed_as_witten_and_bell_do():
    uniform = 1 / 257
    one = {byte: (count + 3 * uniform) / (4 + 3) for byte, count in {"a": 2, "b": 1, "end": 1, "z": 0}.items()}
    assert byte_ngram(["aab"], ["az"], 1) == pytest.approx([-math.log(one["a"] * one["z"] * one["end"])])
    # After the start only a was seen, after a both a and b once, z never.
    first, second = (1 + one["a"]) / 2, (1 + 2 * one["b"]) / 4
    last = (1 + one["end"]) / 2
    assert byte_ngram(["aab"], ["ab"], 2) == pytest.approx([-math.log(first * second * last)])


def test_a_grade_is_better_where_less_is_better():
    good, bad = CausalLM().grades([[1.0, 10], [9.0, 10]], ["", ""], [])
    assert 0 < bad < good < 1


def test_varied_and_exact():
    assert distinct(["a b a", "a b"]) == {"distinct_1": 2 / 5, "distinct_2": 2 / 3}
    assert exact(["yes", "no"], [["yes", "yeah"], ["No"]]) == 0.5
