"""Answering only when sure: laws of the curve and of the threshold that is chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.evaluation.abstention import Abstain
from sluice.evaluation.settings import Evaluate
from sluice.metrics.selective import SILENT, Sureness, risk_coverage
from tests.conftest import compose_config


@st.composite
def answers(draw) -> Sureness:
    """Rows with confidences that are often equal, some of them out of scope, some called so."""
    rows = draw(st.integers(2, 80))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    confidence = rng.integers(1, 20, rows) / 20
    right, outside = rng.random(rows) < confidence, rng.random(rows) < 0.3
    silent = rng.random(rows) < 0.1
    outside[0], outside[1], silent[:2] = True, False, False
    return Sureness(np.where(silent, SILENT, confidence), right & ~(outside & ~silent), outside)


@given(answers())
def test_the_area_lies_between_a_perfect_ranking_and_one_upside_down(found: Sureness):
    area = risk_coverage(found.confidence, found.right)[1].mean()
    ideal = risk_coverage(found.right.astype(float), found.right)[1].mean()
    worst = risk_coverage(-found.right.astype(float), found.right)[1].mean()
    assert 0 <= ideal - 1e-12 <= area + 1e-12 <= worst + 2e-12 <= 1 + 1e-9


@given(answers())
def test_the_curve_ends_at_the_error_and_equal_confidence_ranks_nothing(found: Sureness):
    coverage, risk = risk_coverage(found.confidence, found.right)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx(np.mean(~found.right))
    flat = risk_coverage(np.full(len(found.right), 0.5), found.right)[1]
    assert flat == pytest.approx(np.full(len(flat), np.mean(~found.right)))


@given(answers())
def test_the_sweep_finds_what_each_threshold_gives(found: Sureness):
    thresholds, figures = found.sweep()
    assert (np.diff(thresholds) > 0).all()
    for at in (0, len(thresholds) // 2, len(thresholds) - 1):
        exact = found.tally(thresholds[at]).exact()
        for name, values in figures.items():
            assert values[at] == pytest.approx(exact[name], nan_ok=True)


@given(answers(), st.floats(0.05, 0.95), st.floats(0, 0.5))
def test_a_stricter_rule_never_lowers_the_threshold(found: Sureness, least: float, more: float):
    def threshold(**rule: float) -> float:
        chosen = Abstain(**rule).choose(found)
        return np.inf if chosen is None else chosen

    assert threshold(accuracy=least) <= threshold(accuracy=min(1.0, least + more))
    assert threshold(in_scope_drop=more) <= threshold(in_scope_drop=min(0.99, more + least))
    more_answers = Abstain(coverage=min(1.0, least + more)).choose(found)
    assert more_answers is None or more_answers <= threshold(coverage=least)


@given(answers(), st.floats(0.05, 0.95))
def test_the_threshold_keeps_its_rule(found: Sureness, wanted: float):
    for rule in ("accuracy", "coverage"):
        chosen = Abstain(**{rule: wanted}).choose(found)
        if chosen is not None:
            named = {"accuracy": "selective_accuracy", "coverage": "coverage"}[rule]
            assert found.tally(chosen).exact()[named] >= wanted - 1e-12
    drop = Abstain(in_scope_drop=wanted / 10).choose(found)
    before, after = found.tally(0.0).exact(), found.tally(drop).exact()
    assert after["in_scope_accuracy"] >= before["in_scope_accuracy"] - wanted / 10 - 1e-12
    assert after["out_of_scope_recall"] >= before["out_of_scope_recall"]


def test_out_of_scope_as_clinc150_counts_it():
    """Rows: right and sure, right and unsure, wrongly called out of scope; out of scope: unsure, sure, called so."""
    found = Sureness(
        confidence=np.array([0.9, 0.3, SILENT, 0.3, 0.8, SILENT]),
        right=np.array([True, True, False, False, False, True]),
        outside=np.array([False, False, False, True, True, True]),
    )
    assert found.tally(0.0).exact() == pytest.approx(
        {"coverage": 4 / 6, "selective_accuracy": 2 / 4, "in_scope_accuracy": 2 / 3, "out_of_scope_recall": 1 / 3}
    )
    assert found.tally(0.5).exact() == pytest.approx(
        {"coverage": 2 / 6, "selective_accuracy": 1 / 2, "in_scope_accuracy": 1 / 3, "out_of_scope_recall": 2 / 3}
    )
    assert Abstain(balance=0.5).choose(found) == pytest.approx(0.85)  # one third and three thirds: no other has more
    assert Abstain(balance=0.9).choose(found) == 0


def test_rules_exclude_each_other_and_those_of_scope_need_the_label():
    with pytest.raises(ValueError, match="exactly one of accuracy, coverage"):
        Abstain(accuracy=0.9, coverage=0.5)
    with pytest.raises(ValueError, match="exactly one of"):
        Abstain()
    with pytest.raises(ValueError, match="needs evaluate.out_of_scope"):
        Evaluate(abstain=Abstain(balance=0.5))


def test_a_command_line_sets_one_rule_and_none_without():
    assert compose_config().evaluate.abstain is None
    assert compose_config("evaluate.abstain.coverage=0.8").evaluate.abstain == Abstain(coverage=0.8)
    assert compose_config("evaluate.abstain={accuracy: 0.9}").evaluate.abstain == Abstain(accuracy=0.9)
