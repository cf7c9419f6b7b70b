"""Which engine a bundle is run by where the choice is left to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluice.inference.bundle import Bundle, Estimate, Form, Lineage
from sluice.inference.engine import Engine
from sluice.inference.engines import fastest
from sluice.inference.engines.fastest import FastestEngine
from sluice.tasks.chat import Chat
from sluice.tasks.classification import Classification
from sluice.tasks.task import Task


def chosen(folder: Path, task: Task, **speeds: float) -> Engine:
    one = Estimate(value=0.0, low=0.0, high=0.0)
    forms = {
        name: Form(
            file=name, size=1, rows=1, agreement=1.0, metric="accuracy", difference=one, control=1.0,
            speed=Estimate(value=speed, low=speed, high=speed),
        )
        for name, speed in speeds.items()
    }  # fmt: skip
    lineage = Lineage(data="d" * 64, split="e" * 64, config="f" * 64, git="none")
    Bundle(task=task.name, fields={}, labels=(), lineage=lineage, forms=forms).write(folder)
    return FastestEngine(threads=3).chosen(folder, task)


@pytest.mark.parametrize(
    ("speeds", "name"),
    [
        ({}, "torch float32"),
        ({"onnx": 1.5, "int8": 2.5}, "onnx int8"),
        ({"onnx": 1.5, "int8": 1.2}, "onnx float32"),
        ({"onnx": 0.9, "int8": 0.8}, "torch float32"),
    ],
)
def test_the_form_that_was_measured_to_be_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speeds: dict[str, float], name: str
) -> None:
    monkeypatch.setattr(fastest, "gpus", lambda: 0)
    engine = chosen(tmp_path, Classification(), **speeds)
    assert (engine.name, engine.threads) == (name, 3)


def test_a_gpu_is_not_left_idle_and_decoders_write_continuously(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastest, "gpus", lambda: 1)
    assert chosen(tmp_path, Classification(), onnx=9.0).name == "torch float32"
    assert chosen(tmp_path, Chat()).kind == "continuous"
