"""What people type reaches Hydra as they meant it."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from pipelines.shared.typed import ready


def value(argument: str) -> object:
    """What Hydra takes a typed argument for."""
    (typed,) = ready([argument])
    return OverridesParser.create().parse_override(typed).value()


@given(st.text(st.characters(exclude_categories=("C",)), min_size=1).filter(lambda text: text[0] not in "'\""))
def test_a_reason_is_any_sentence(text: str):
    found = value(f"force={text}")
    assert str(found) == text or "\\" in text  # Hydra joins backslashes before a quote


@pytest.mark.parametrize(
    "text", ["my rows (1).csv", "données.csv", "a=b.csv", "it's.csv", "rows #2.csv", "a{b.csv", "C:\\rows\\a (1).csv"]
)
def test_file_names_that_are_not_hydras_grammar(text: str):
    assert value(f"data.train={text}") == text


@pytest.mark.parametrize(
    "argument",
    ["seed=1", "seed=0,1", "model=tiny", "data.keep=[a,b]", "gate.floors={accuracy: 0.7}", "force='in quotes'",
     "+data.columns.group=author", "~data.columns.label", "data.train='a (1).csv'", "--cfg", "job", "x="],
)  # fmt: skip
def test_what_hydra_understands_is_left_alone(argument: str):
    assert ready([argument]) == [argument]


def test_a_sweeps_flag_may_stand_anywhere():
    assert ready(["data=files", "-m", "seed=0,1"]) == ["-m", "data=files", "seed=0,1"]
