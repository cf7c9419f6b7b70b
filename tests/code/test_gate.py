"""The gate is a pure function: these are its laws."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from sluice.gate import Against, Bounds, Evidence, Gate, verdict

UNIT = st.floats(0, 1)


def bounds(mean: float, half: float = 0.01) -> Bounds:
    return Bounds(mean=mean, low=mean - half, high=mean + half)


def against(**changes: object) -> Against:
    good = {
        "difference": bounds(0.02),
        "latency_ratio": 1.0,
        "latency_control": 1.0,
        "size_ratio": 1.0,
        "slices": {"label=a": bounds(0.0, 0.05)},
        "seen": 0,
    }
    return Against.model_validate({**good, **changes})


def evidence(**changes: object) -> Evidence:
    good = {
        "metric": "accuracy",
        "scores": {"accuracy": 0.9, "macro_f1": 0.9},
        "trivial": {"majority": bounds(0.4)},
        "strong": {"tfidf_logistic": bounds(0.05)},
        "seen": 0,
        "champion": against(),
    }
    return Evidence.model_validate({**good, **changes})


def refusals(found: Evidence, rules: Gate | None = None) -> list[str]:
    return [check.name for check in verdict(found, rules or Gate()).checks if not check.passed]


def test_good_evidence_passes():
    assert refusals(evidence()) == []
    assert refusals(evidence(champion=None)) == []


def test_each_rule_refuses_by_itself():
    cases = {
        "test rows in its own training data": evidence(seen=1),
        "test rows in the champion's training data": evidence(champion=against(seen=3)),
        "accuracy over majority": evidence(trivial={"majority": bounds(0.005)}),
        "accuracy over tfidf_logistic": evidence(strong={"tfidf_logistic": bounds(-0.001)}),
        "accuracy against the champion": evidence(champion=against(difference=bounds(-0.005))),
        "latency against the champion": evidence(champion=against(latency_ratio=1.6)),
        "size against the champion": evidence(champion=against(size_ratio=2.1)),
        "worst slice": evidence(champion=against(slices={"a": bounds(0.1), "b": bounds(-0.2)})),
    }
    for name, found in cases.items():
        assert refusals(found) == [name]
    assert refusals(evidence(), Gate(floors={"macro_f1": 0.95})) == ["macro_f1 floor"]
    assert refusals(evidence(), Gate(min_gain=0.03)) == ["accuracy gain"]


def test_every_kind_of_behaviour_must_hold_as_often_as_asked():
    found = evidence(behaviour={"invariance": 0.95, "direction": 0.5})
    assert refusals(found) == []
    assert refusals(found, Gate(min_behaviour=0.9)) == ["behaviour: direction"]
    assert refusals(evidence(), Gate(min_behaviour=0.9)) == ["behaviour: of any kind"]


def test_a_noisy_machine_and_an_unknown_metric_refuse():
    assert refusals(evidence(champion=against(latency_control=1.2))) == ["latency against the champion"]
    assert refusals(evidence(), Gate(floors={"recall_at_5": 0.1})) == ["recall_at_5 floor"]


def test_nan_refuses_wherever_it_stands():
    nan = Bounds(mean=math.nan, low=math.nan, high=math.nan)
    for found in (
        evidence(scores={"accuracy": math.nan}),
        evidence(trivial={"majority": nan}),
        evidence(strong={"tfidf_logistic": nan}),
        evidence(champion=against(difference=nan)),
        evidence(champion=against(latency_ratio=math.nan)),
        evidence(champion=against(latency_control=math.nan)),
        evidence(champion=against(size_ratio=math.nan)),
        evidence(champion=against(slices={"a": nan, "b": bounds(0.0)})),
    ):
        assert not verdict(found, Gate()).passed


def test_optional_rules_can_be_switched_off():
    rules = Gate(baseline_margin=None, max_latency_ratio=None, max_size_ratio=None, max_slice_drop=None)
    found = evidence(
        strong={"tfidf_logistic": bounds(-0.5)},
        champion=against(latency_ratio=math.nan, size_ratio=9.0, slices={"a": bounds(-0.9)}),
    )
    assert refusals(found, rules) == []


@given(mean=st.floats(-0.2, 0.2), half=st.floats(0, 0.1), drop=st.floats(0, 0.1), more=st.floats(0, 0.1))
def test_a_looser_rule_never_refuses_what_a_stricter_one_passes(mean: float, half: float, drop: float, more: float):
    found = evidence(champion=against(difference=bounds(mean, half)))
    strict, loose = verdict(found, Gate(max_drop=drop)), verdict(found, Gate(max_drop=drop + more))
    assert loose.passed or not strict.passed


@given(low=UNIT, gain=UNIT)
def test_a_better_challenger_never_does_worse(low: float, gain: float):
    worse = verdict(evidence(champion=against(difference=bounds(low - 0.5))), Gate())
    better = verdict(evidence(champion=against(difference=bounds(low - 0.5 + gain))), Gate())
    assert better.passed or not worse.passed


def test_reasons_name_what_was_found_and_what_is_wanted():
    (reason,) = verdict(evidence(champion=against(size_ratio=3.0)), Gate()).reasons
    assert reason == "size against the champion: 3.00x; at most 2x"


def test_the_verdict_on_evidence_that_was_written_and_read_is_the_same():
    """JSON files are written with sorted keys."""
    tied = {"label=z": bounds(0.0), "label=a": bounds(0.0)}
    found = evidence(
        champion=against(slices=tied),
        behaviour={"minimum_functionality": 1.0, "invariance": 1.0},
        strong={"tfidf": bounds(0.1), "bm25": bounds(0.2)},
    )
    read = Evidence.model_validate_json(json.dumps(json.loads(found.model_dump_json()), sort_keys=True))
    rules = Gate(min_behaviour=0.5)
    assert verdict(read, rules) == verdict(found, rules)


def test_where_less_is_better_a_floor_is_a_ceiling():
    found = evidence(metric="bits_per_byte", scores={"bits_per_byte": 2.0, "perplexity": 30.0})
    assert refusals(found) == []
    assert refusals(found, Gate(floors={"bits_per_byte": 1.9})) == ["bits_per_byte ceiling"]
    assert refusals(found, Gate(floors={"perplexity": 31})) == []
    assert refusals(found, Gate(floors={"perplexity": 29})) == ["perplexity ceiling"]
    assert refusals(evidence(metric="bits_per_byte", scores={})) == ["bits_per_byte ceiling"]


def test_a_difference_is_turned_round_where_less_is_better():
    from sluice.evaluation.comparison import gate_bounds

    found = {"mean": -0.2, "low": -0.3, "high": -0.1, "p": 0.01}
    assert gate_bounds(found, "bits_per_byte") == Bounds(mean=0.2, low=0.1, high=0.3, p=0.01)
    assert gate_bounds(found, "accuracy") == Bounds(mean=-0.2, low=-0.3, high=-0.1, p=0.01)
