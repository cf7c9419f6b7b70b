"""Metrics against hand-made cases, intervals against known coverage."""

import numpy as np
import pytest

from sluice.metrics.baselines import majority, tfidf_logistic
from sluice.metrics.classification import Accuracy, CalibrationError, MacroF1, PerClass
from sluice.metrics.significance import Sampling, bootstrap, paired_bootstrap
from tests.conftest import make_rows

SAMPLING = Sampling(resamples=500, confidence=0.95, seed=0)


def test_metrics_of_a_case_done_by_hand():
    answers = {"references": [0, 0, 1, 2], "predictions": [0, 1, 1, 1]}
    assert Accuracy().compute(**answers) == {"accuracy": 0.5}
    assert MacroF1().compute(**answers)["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    figures = PerClass().compute(**answers, classes=3)
    assert figures["recall"] == [0.5, 1.0, 0.0]
    assert figures["support"] == [2, 1, 1]


def test_calibration_error_of_a_sure_and_an_honest_model():
    sure = [[1.0, 0.0]] * 4
    honest = [[0.75, 0.25]] * 4
    references = [0, 0, 0, 1]
    assert CalibrationError().compute(predictions=sure, references=references)["ece"] == pytest.approx(0.25)
    assert CalibrationError().compute(predictions=honest, references=references)["ece"] == pytest.approx(0.0)


def test_intervals_agree_with_the_metrics():
    rng = np.random.default_rng(1)
    references, predictions = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    found = bootstrap(predictions, references, 4, SAMPLING)
    answers = {"references": references, "predictions": predictions}
    assert found["accuracy"].mean == pytest.approx(Accuracy().compute(**answers)["accuracy"])
    assert found["macro_f1"].mean == pytest.approx(MacroF1().compute(**answers)["macro_f1"])
    assert found["accuracy"].low < found["accuracy"].mean < found["accuracy"].high


def test_the_interval_of_a_coin_has_the_width_of_a_binomial():
    references = np.zeros(1000, np.int64)
    predictions = np.arange(1000) % 2
    interval = bootstrap(predictions, references, 2, Sampling(2000, 0.95, 0))["accuracy"]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 1000), rel=0.1)


def test_a_paired_difference_of_equal_models_is_nothing():
    rng = np.random.default_rng(2)
    references, predictions = rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    difference = paired_bootstrap(predictions, predictions, references, 3, SAMPLING)["accuracy"]
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)


def test_pairing_sees_a_small_steady_gain():
    """One point more on the same rows: unpaired intervals of 1,000 rows are three points wide on either side."""
    rng = np.random.default_rng(3)
    references = np.zeros(1000, np.int64)
    other = (rng.random(1000) < 0.3).astype(np.int64)
    ours = other.copy()
    ours[np.flatnonzero(other)[:15]] = 0
    assert paired_bootstrap(ours, other, references, 2, SAMPLING)["accuracy"].low > 0


def test_baselines():
    train, test = make_rows(200, seed=1), make_rows(60, seed=2)
    names = sorted({label for _, label in train})
    answers = np.array([names.index(label) for _, label in train])
    guesses = tfidf_logistic([text for text, _ in train], answers, [text for text, _ in test])
    right = np.mean([names[guess] == label for guess, (_, label) in zip(guesses, test, strict=True)])
    assert right > 0.9
    assert set(majority(answers, 5)) == {np.bincount(answers).argmax()}
