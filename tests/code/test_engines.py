"""Which engine a bundle is run by where the choice is left to it."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import pytest

from serving import process
from sluice.inference.bundle import Bundle, Estimate, Form, Lineage
from sluice.inference.engine import VISIBLE, Engine, gpus
from sluice.inference.engines import fastest, formed, openvino
from sluice.inference.engines.fastest import FastestEngine
from sluice.inference.processor import Processor, processor
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
        ({"int8": 2.5, "openvino": 4.0}, "openvino int8"),
        ({"bf16": 2.0, "onnx": 1.5}, "torch bfloat16"),
    ],
)
def test_the_form_that_was_measured_to_be_fastest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speeds: dict[str, float], name: str
) -> None:
    monkeypatch.setattr(fastest, "gpus", lambda: [])
    monkeypatch.setattr(formed, "computes_bfloat16", lambda: True)
    engine = chosen(tmp_path, Classification(), **speeds)
    assert (engine.name, engine.threads) == (name, 3)


def test_what_cannot_run_here_is_passed_over_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a bundle of another machine, or of a later sluice."""
    monkeypatch.setattr(fastest, "gpus", lambda: [])
    monkeypatch.setattr(formed, "processor", lambda: Processor(model="an older one", features=("avx2",)))
    monkeypatch.setattr(formed, "computes_bfloat16", lambda: False)
    monkeypatch.setattr(openvino.importlib.util, "find_spec", lambda name: None)
    assert chosen(tmp_path, Classification(), later=9.0, bf16=5.0, openvino=4.0, int8=2.5).name == "onnx int8"
    told = [record.getMessage() for record in caplog.records]
    assert [one.partition(" is not served as ")[2] for one in told] == [
        "later: this version of sluice knows no form later",
        "bf16: an older one does not compute in bfloat16",
        "openvino: openvino is not installed: pip install 'sluice[openvino]'",
    ]


def test_the_processor_is_read_from_what_the_system_says(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 amx_bf16\n\nmodel name\t: x\n")
    assert processor(info) == Processor(model="Some CPU", features=("avx2", "amx_bf16"))
    arm = tmp_path / "arm"
    arm.write_text("processor\t: 0\nFeatures\t: fp asimddp bf16\n")
    assert processor(arm).features == ("asimddp", "bf16")
    assert processor(tmp_path / "none").features == ()


def test_a_gpu_is_not_left_idle_and_decoders_write_continuously(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastest, "gpus", lambda: ["0"])
    assert chosen(tmp_path, Classification(), onnx=9.0).name == "torch float32"
    assert chosen(tmp_path, Chat()).kind == "continuous"


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, ["0", "1", "10"]),
        ("10,1", ["10", "1"]),
        ("GPU-5e, MIG-7f", ["GPU-5e", "MIG-7f"]),
        ("", []),
        ("-1", []),
    ],
)
def test_gpus_are_those_that_this_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, found: list[str]
) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    assert gpus(tmp_path) == found
    assert gpus(tmp_path / "elsewhere") == []


def test_each_worker_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "gpus", lambda: ["4", "GPU-7f"])
    given = []
    for worker in (1, 2, 3):
        monkeypatch.setattr(bentoml.server_context, "worker_index", worker)
        monkeypatch.setenv(VISIBLE, "4,GPU-7f")
        process.choose_gpu()
        given.append(os.environ[VISIBLE])
    assert given == ["4", "GPU-7f", "4"]
