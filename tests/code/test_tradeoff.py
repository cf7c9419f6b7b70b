"""Which variants are beaten, which is the fastest that holds, and whether that is anything new."""

import math
from pathlib import Path
from typing import Any

import pytest

from sluice.evaluation.tradeoff import BASE, fastest, markdown, no_better, nothing_new, plot, sentence, table, unbeaten
from sluice.inference.bundle import Estimate, Form, Worst
from sluice.inference.processor import Processor


def form(speed: float, drop: float = 0.0, size: int = 50, **more: Any) -> Form:
    told = {"file": "x", "rows": 1000, "agreement": 1.0, "metric": "accuracy", "control": 1.0, **more}
    fast = Estimate(value=speed, low=speed, high=speed)
    lost = Estimate(value=drop, low=drop - 0.01, high=drop + 0.01)
    where = Processor(model="CPU", features=("avx2",))
    return Form(size=size, difference=lost, speed=fast, together=fast, processor=where, **told)


def record(had: tuple[str, ...] = (), refused: dict[str, str] | None = None, **variants: Form) -> dict[str, Any]:
    found = {
        "version": "demo:1", "size": 100, "had": list(had), "refused": refused or {},
        "new": [name for name in variants if name not in had],
        "variants": {name: one.model_dump() for name, one in variants.items()},
    }  # fmt: skip
    return {**found, "nothing": nothing_new(found)}


def test_the_fastest_that_holds_is_new_or_nothing_is():
    assert record(int8=form(4), onnx=form(2))["nothing"] is None
    assert fastest(record(int8=form(4), onnx=form(2))) == "int8"
    assert (
        record(("int8",), int8=form(4), bf16=form(2))["nothing"] == "int8, which demo:1 has, is the fastest that holds"
    )
    assert record(bf16=form(0.6))["nothing"] == f"{BASE} is the fastest that holds"
    assert record(refused={"int8": "bad"}, int8=form(4))["nothing"] == "no variant holds"
    assert fastest(record(refused={"int8": "bad"}, int8=form(4), onnx=form(2))) == "onnx"
    assert record()["nothing"] == "no variant fits"


def test_what_a_plan_has_passed_through_is_no_candidate():
    found = record(distilled=form(1.5), pruned=form(1.4))
    found["new"] = ["pruned"]
    assert fastest(found) == "pruned"
    assert nothing_new(found) is None


def test_a_variant_is_beaten_where_another_is_as_good_as_fast_and_as_small():
    found = record(a=form(2, 0.0, 50), b=form(1.5, -0.1, 50), c=form(1, 0.0, 200), d=form(1.2, -0.3, 10))
    assert unbeaten(found) == ["a", "d"]
    assert unbeaten(record(a=form(2, 0.0, 100), b=form(2, 0.0, 100))) == ["a", "b"]
    assert BASE in unbeaten(record(a=form(3, -0.1, 50)))
    assert "a" not in unbeaten(record(refused={"a": "bad"}, a=form(9, 1.0, 1)))


@pytest.mark.parametrize(
    ("one", "beaten"),
    [(form(0.9, -0.1, 100), True), (form(1.1, -0.1, 100), False), (form(0.9, 0.0, 100), False),
     (form(0.9, -0.1, 99), False)],
)  # fmt: skip
def test_smaller_weights_must_be_better_in_something(one: Form, beaten: bool):
    assert bool(no_better(one, 100)) == beaten


def test_tables_and_plots_of_what_was_measured_and_of_what_was_not(tmp_path: Path):
    none = Estimate(value=math.nan, low=math.nan, high=math.nan)
    broken = form(1).model_copy(update={"difference": none, "speed": none, "together": none, "broken": 7})
    worst = Worst(name="label=x", difference=Estimate(value=-0.2, low=-0.3, high=-0.1))
    outside = form(2).model_copy(update={"difference": Estimate(value=0.5, low=0.6, high=0.7)})
    found = record(
        refused={"broken": "7 outputs are no finite numbers"},
        broken=broken, outside=outside, seen=form(3, worst=worst, calibration=0.01, memory=10**8),
    )  # fmt: skip
    for told in (table(found), markdown(found)):
        assert "broken is refused: 7 outputs are no finite numbers" in told
        assert "-0.200 label=x" in told
        assert "on CPU (avx2)" in told
    assert plot(found, tmp_path).stat().st_size > 10_000
    assert sentence(found).startswith("seen of demo:1: 3.0x faster, 2.0x smaller, accuracy +0.0000 [")
    noisy = record(one=form(2, control=1.3))
    assert "two copies of the version came out 30% apart" in table(noisy)
