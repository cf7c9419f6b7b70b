"""Metrics against hand-made cases and scikit-learn."""

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.metrics.baselines import majority, tfidf_logistic
from sluice.metrics.classification import (
    Accuracy,
    Auroc,
    CalibrationError,
    LogLoss,
    MacroF1,
    MatthewsCorrelation,
    PerClass,
)
from tests.conftest import make_rows


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


def compute(metric, predictions, references) -> float:
    (value,) = metric.compute(predictions=predictions, references=references).values()
    return value


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), rows=st.integers(2, 60))
@settings(max_examples=25)
def test_scores_are_those_of_scikit_learn(seed: int, classes: int, rows: int):
    rng = np.random.default_rng(seed)
    references, predictions = rng.integers(0, classes, rows), rng.integers(0, classes, rows)
    scores = rng.dirichlet(np.ones(classes), rows).round(1).astype(np.float32)  # rounded, so that there are ties
    scores[:, 0] += 1e-3
    areas = [
        sklearn.metrics.roc_auc_score(references == one, scores[:, one])
        for one in np.unique(references)
        if len(np.unique(references)) > 1
    ]
    found = compute(Auroc(), scores, references)
    assert math.isnan(found) if not areas else found == pytest.approx(np.mean(areas))
    wanted = sklearn.metrics.matthews_corrcoef(references, predictions)
    assert compute(MatthewsCorrelation(), predictions, references) == pytest.approx(wanted)


def test_auroc_leaves_out_a_class_that_no_row_has():
    scores = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]
    assert compute(Auroc(), scores, [0, 0, 1]) == 1.0
    assert math.isnan(compute(Auroc(), scores, [0, 0, 0]))


def test_log_loss_of_a_case_done_by_hand():
    found = compute(LogLoss(), [[0.5, 0.5], [0.0, 1.0]], [0, 0])
    assert found == pytest.approx((-math.log(0.5) - math.log(1e-7)) / 2)


def test_baselines():
    train, test = make_rows(200, seed=1), make_rows(60, seed=2)
    answers = [label for _, label in train]
    guesses = tfidf_logistic([text for text, _ in train], answers, [text for text, _ in test])
    right = np.mean([guess == label for guess, (_, label) in zip(guesses, test, strict=True)])
    assert right > 0.9
    assert set(majority(answers, 5)) == {max(sorted(set(answers)), key=answers.count)}
