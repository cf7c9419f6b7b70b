"""Bounds and permutation tests against known coverage, and against the metrics that they are about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.metrics.classification import Accuracy, MacroF1
from sluice.metrics.significance import BLOCK, Resampler, Sampling
from sluice.metrics.tallies import label_tally

SAMPLING = Sampling(resamples=500, confidence=0.95, seed=0)


def drawn(seed: int, rows: int, classes: int = 3):
    """References and two models' answers at random."""
    return np.random.default_rng(seed).integers(0, classes, (3, rows))


def test_intervals_agree_with_the_metrics():
    references, predictions, _ = drawn(1, 500, 4)
    found = Resampler(500, SAMPLING).intervals(label_tally(predictions, references, 4))
    answers = {"references": references, "predictions": predictions}
    assert found["accuracy"].mean == pytest.approx(Accuracy().compute(**answers)["accuracy"])
    assert found["macro_f1"].mean == pytest.approx(MacroF1().compute(**answers)["macro_f1"])
    assert found["accuracy"].low < found["accuracy"].mean < found["accuracy"].high


def test_every_resample_is_a_draw_of_as_many_rows_in_whatever_blocks(monkeypatch):
    references, predictions, _ = drawn(2, 50)
    tally = label_tally(predictions, references, 3)
    whole = Resampler(50, SAMPLING)
    assert (whole._draws.sum(axis=0) == 50).all()
    expected = whole.intervals(tally)
    monkeypatch.setattr("sluice.metrics.significance.BLOCK", 50 * 7)
    assert BLOCK > 50 * 7
    assert Resampler(50, SAMPLING).intervals(tally) == expected


def test_the_interval_of_a_coin_has_the_width_of_a_binomial():
    references = np.zeros(1000, np.int64)
    tally = label_tally(np.arange(1000) % 2, references, 2)
    interval = Resampler(1000, Sampling(2000, 0.95, 0)).intervals(tally)["accuracy"]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 1000), rel=0.1)


@given(seed=st.integers(0, 1000), rows=st.integers(20, 300))
@settings(max_examples=20)
def test_slices_add_up_to_all_rows(seed: int, rows: int):
    references, predictions, parts = drawn(seed, rows)
    tally = label_tally(predictions, references, 3)
    slices = [tally.only(np.flatnonzero(parts == part)) for part in range(3)]
    assert sum(one.total() for one in slices) == pytest.approx(tally.total())
    for part, one in enumerate(slices):
        rows_of = parts == part
        if rows_of.any():
            assert one.exact()["accuracy"] == pytest.approx(np.mean((predictions == references)[rows_of]))
        else:
            assert np.isnan(one.exact()["accuracy"])


def test_a_paired_difference_of_equal_models_is_nothing():
    references, predictions, _ = drawn(2, 300)
    tally = label_tally(predictions, references, 3)
    resampler = Resampler(300, SAMPLING)
    difference = resampler.differences(tally, tally)["accuracy"]
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
    assert resampler.p_values(tally, tally) == {"accuracy": 1.0, "macro_f1": 1.0}


def test_pairing_sees_a_small_steady_gain():
    """One point more on the same rows: unpaired intervals of 1,000 rows are three points wide on either side."""
    rng = np.random.default_rng(3)
    references = np.zeros(1000, np.int64)
    other = (rng.random(1000) < 0.3).astype(np.int64)
    ours = other.copy()
    ours[np.flatnonzero(other)[:15]] = 0
    tallies = label_tally(ours, references, 2), label_tally(other, references, 2)
    resampler = Resampler(1000, SAMPLING)
    assert resampler.differences(*tallies)["accuracy"].low > 0
    assert resampler.p_values(*tallies)["accuracy"] == pytest.approx(1 / 501)


def test_the_permutation_test_is_that_of_mcnemar():
    """Accuracy depends on the discordant pairs alone, whose exact test is a binomial (McNemar 1947)."""
    from scipy.stats import binomtest

    references = np.zeros(400, np.int64)
    ours, theirs = np.zeros(400, np.int64), np.zeros(400, np.int64)
    ours[:10], theirs[10:30] = 1, 1
    tallies = label_tally(ours, references, 2), label_tally(theirs, references, 2)
    p = Resampler(400, Sampling(20_000, 0.95, 0)).p_values(*tallies)["accuracy"]
    assert p == pytest.approx(binomtest(10, 30).pvalue, abs=0.01)


def test_two_models_that_are_alike_seldom_differ():
    """Under the null hypothesis p is below 0.1 in about a tenth of the cases."""
    below = 0
    for seed in range(200):
        references, ours, theirs = drawn(seed, 80)
        tallies = label_tally(ours, references, 3), label_tally(theirs, references, 3)
        below += Resampler(80, Sampling(200, 0.95, seed)).p_values(*tallies)["macro_f1"] < 0.1
    assert 8 <= below <= 35
