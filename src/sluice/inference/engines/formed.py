"""Forms of a model and the engines that run them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal, get_args

from sluice.inference.engine import Engine
from sluice.inference.engines.genai import FOLDERS, GRAPH, GenaiEngine
from sluice.inference.engines.onnx import FILES, OnnxEngine
from sluice.inference.engines.openvino import FILE, OpenvinoEngine
from sluice.inference.engines.torch import BFLOAT16_FILE, TorchEngine
from sluice.inference.processor import computes_bfloat16, processor
from sluice.tasks.task import Task

FormName = Literal["bf16", "onnx", "int8", "openvino", "genai", "genai_int8"]
"""bf16: weights of half the size, PyTorch; onnx: float32, onnxruntime; int8: the same in 8 bits, each input scaled by
itself; openvino: in 8 bits, all inputs scaled by what training rows showed. Of decoders: genai: float32,
onnxruntime-genai; genai_int8: the same with weights in 8 bits."""
OF_DECODERS: tuple[FormName, ...] = ("genai", "genai_int8")
FORM_FILES: dict[str, str] = {
    "bf16": BFLOAT16_FILE,
    "onnx": FILES["float32"],
    "int8": FILES["int8"],
    "openvino": FILE,
    "genai": f"{FOLDERS['float32']}/{GRAPH}",
    "genai_int8": f"{FOLDERS['int8']}/{GRAPH}",
}
"""The file of a bundle that holds a form; of two, the one that names the other."""


def engine_of(form: str, threads: int | None = None) -> Engine:
    """The engine that runs a form."""
    engines: dict[str, Engine] = {
        "bf16": TorchEngine(dtype="bfloat16", threads=threads),
        "onnx": OnnxEngine(threads=threads),
        "int8": OnnxEngine(precision="int8", threads=threads),
        "openvino": OpenvinoEngine(threads=threads),
        "genai": GenaiEngine(threads=threads),
        "genai_int8": GenaiEngine(precision="int8", threads=threads),
    }
    return engines[form]


def suited(task: Task) -> tuple[FormName, ...]:
    """The forms that a model of this task can have at all."""
    if task.architecture == "decoder":
        return OF_DECODERS
    return tuple(name for name in get_args(FormName) if name not in OF_DECODERS)


def unfit(form: str) -> str | None:
    """Why a form cannot be run here as it was meant to, in one line; None where it can."""
    if form not in get_args(FormName):
        return f"this version of sluice knows no form {form}"
    if form == "bf16" and not computes_bfloat16():
        return f"{processor().model} does not compute in bfloat16"
    return engine_of(form).missing()


def remove_form(file: str, bundle: Path) -> None:
    """Take a form's file out of a bundle, and what it names, where they are."""
    path = bundle / file
    if path.parent != bundle:
        shutil.rmtree(path.parent, ignore_errors=True)
    path.unlink(missing_ok=True)
    if path.suffix == ".xml":
        path.with_suffix(".bin").unlink(missing_ok=True)
