"""Behavioural cases: what a file may say, what is wrong in it by its line, and what a model has to do."""

from pathlib import Path

import pytest

from sluice.errors import UserError
from sluice.evaluation.casefile import Cases
from sluice.evaluation.cases import Direction, Invariance, MinimumFunctionality, Reaction
from sluice.evaluation.perturbations import PERTURBATIONS, typo
from sluice.tasks.classification import Classification
from sluice.tasks.pair_classification import PairClassification
from tests.conftest import REPOSITORY

GOOD = """\
cases:
  - name: metals
    kind: minimum_functionality
    texts: "the {metal} near {place}"
    fill:
      metal: [iron, tin]
      place: [here, there]
    expect: metal
  - name: spaces
    kind: invariance
    texts: [the iron of tin]
    perturb: [extra_spaces, lower_case]
"""


def read(folder: Path, text: str) -> Cases:
    path = folder / "cases.yaml"
    path.write_text(text, encoding="utf-8")
    return Cases.read(path)


def said(answer: str, **probabilities: float) -> Reaction:
    return Reaction(answer, probabilities)


def test_texts_are_spelt_out_in_every_combination(tmp_path: Path):
    metals, spaces = read(tmp_path, GOOD).cases
    assert [text for text, _ in metals.checks()] == [
        "the iron near here",
        "the iron near there",
        "the tin near here",
        "the tin near there",
    ]
    assert spaces.checks() == [("the iron of tin", " the  iron  of  tin ")]  # nothing to make small


def test_the_cases_that_come_with_the_default_data_fit_its_labels():
    import yaml

    topics = yaml.safe_load((REPOSITORY / "conf" / "data" / "apidocs.yaml").read_text())["topics"]
    cases = Cases.read(REPOSITORY / "conf" / "evaluate" / "cases" / "apidocs.yaml")
    cases.check_labels(sorted({topic for topic in topics.values() if topic}))
    assert {case.kind for case in cases.cases} == {"minimum_functionality", "invariance", "direction"}


@pytest.mark.parametrize(
    ("change", "line", "wanted"),
    [
        (("expect: metal", "expct: metal"), 2, "expect is missing"),
        (("    expect: metal", "    expect: metal\n    expct: metal"), 9, "'expct'. Did you mean expect?"),
        (("kind: invariance", "kind: invariant"), 9, "'invariant'"),
        (("kind: invariance", "kind: direction"), 9, "add is missing"),
        (("[extra_spaces, lower_case]", "\n      - extra_spaces\n      - lowercase"), 14, "'lower_case'"),
        (("texts: [the iron of tin]", "texts: {a: b}"), 11, "valid list"),
        (("texts: [the iron of tin]", "texts: []"), 11, "at least 1 item"),
        (("      place: [here, there]\n", ""), 2, "{place} has no words in fill"),
        (("near {place}", "near"), 2, "no text has {place}"),
        (("    perturb: [extra_spaces, lower_case]\n", ""), 9, "it makes 0 checks"),
        (("name: spaces", "name: metals"), 9, "a case before it has the name 'metals' too"),
        (("expect: metal", "expect: [metal"), 9, "this is not yaml"),
        (("cases:\n", "case:\n"), 1, "unknown field 'case'. Did you mean cases?"),
        (("cases:\n", ""), 1, "expected `cases:` and a list"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], line: int, wanted: str):
    with pytest.raises(UserError) as told:
        read(tmp_path, GOOD.replace(*change))
    assert str(told.value).startswith(f"{tmp_path}/cases.yaml:{line}: ")
    assert wanted in str(told.value)
    assert len(str(told.value).splitlines()) == 1


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"evaluate.cases=.*none.yaml cannot be read: No such file"):
        Cases.read(tmp_path / "none.yaml")


def test_an_unknown_label_is_named_with_its_case(tmp_path: Path):
    cases = read(tmp_path, GOOD)
    cases.check_labels(["fruit", "metal"])
    with pytest.raises(UserError, match=r"the case 'metals' names the label 'metal'.*Did you mean 'metals'\?"):
        cases.check_labels(["fruit", "metals"])


def test_minimum_functionality_wants_the_label():
    case = MinimumFunctionality(kind="minimum_functionality", name="x", texts="a", expect="m")
    outcome = case.judge(said("m", m=0.6), said("m", m=0.6))
    assert (outcome.holds, outcome.expected, outcome.found) == (True, "m", "m 0.600")
    assert not case.judge(said("f", f=0.9), said("f", f=0.9)).holds


def test_invariance_wants_the_same_answer_and_within_a_tolerance_the_same_probability():
    fields = {"kind": "invariance", "name": "x", "texts": "a b", "perturb": "extra_spaces"}
    loose, strict = Invariance(**fields), Invariance(**fields, tolerance=0.1)
    plain, near, far, other = said("m", m=0.9), said("m", m=0.81), said("m", m=0.6), said("f", m=0.4, f=0.6)
    assert [loose.judge(plain, one).holds for one in (near, far, other)] == [True, True, False]
    assert [strict.judge(plain, one).holds for one in (near, far, other)] == [True, False, False]


def test_direction_wants_a_move_and_forgives_a_small_one_the_other_way():
    fields = {"kind": "direction", "name": "x", "texts": ["a", "b"], "add": ["c", "d"], "label": "m"}
    up, down = Direction(**fields, expect="higher"), Direction(**fields, expect="lower", tolerance=0.05)
    assert up.checks() == [("a", "a c"), ("a", "a d"), ("b", "b c"), ("b", "b d")]
    plain, more, same, little = said("m", m=0.5), said("m", m=0.6), said("m", m=0.5), said("m", m=0.54)
    assert [up.judge(plain, one).holds for one in (more, same, little)] == [True, False, True]
    assert [down.judge(plain, one).holds for one in (more, same, little)] == [False, True, True]


def test_variants_belong_to_one_text():
    with pytest.raises(ValueError, match="variants belong to one text"):
        Invariance(kind="invariance", name="x", texts=["a", "b"], variants="c")


def test_a_case_that_asks_what_the_task_does_not_take_is_named():
    pair = '["iron", "a metal"]'
    whole = Cases(cases=[{"kind": "invariance", "name": "x", "texts": pair, "perturb": "upper_case"}])
    cut = Cases(cases=[{"kind": "invariance", "name": "x", "texts": pair, "perturb": "trailing_punctuation"}])
    whole.check(PairClassification(), [])
    cut.check(Classification(), [])
    with pytest.raises(UserError, match="the case 'x' asks .* expected a pair"):
        cut.check(PairClassification(), [])


def test_perturbations_change_a_text_and_keep_its_letters():
    text = "Compute the shortest path."
    for name, change in PERTURBATIONS.items():
        changed = change(text)
        assert changed != text, name
        assert sorted(changed.lower().replace(" ", "").rstrip(".")) == sorted("computetheshortestpath"), name
    assert typo("a b c") == "a b c"
    assert PERTURBATIONS["trailing_punctuation"]("no stop") == "no stop."
