"""Forms of a model and the engines that run them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from sluice.inference.engine import Engine
from sluice.inference.engines.onnx import FILES, OnnxEngine
from sluice.inference.engines.openvino import FILE, OpenvinoEngine
from sluice.inference.engines.torch import BFLOAT16_FILE, TorchEngine
from sluice.inference.processor import computes_bfloat16, processor

FormName = Literal["bf16", "onnx", "int8", "openvino"]
"""bf16: weights of half the size, PyTorch; onnx: float32, onnxruntime; int8: the same in 8 bits, each input scaled by
itself; openvino: in 8 bits, all inputs scaled by what training rows showed."""
FORM_FILES: dict[str, str] = {
    "bf16": BFLOAT16_FILE,
    "onnx": FILES["float32"],
    "int8": FILES["int8"],
    "openvino": FILE,
}
"""The file of a bundle that holds a form; of two, the one that names the other."""


def engine_of(form: str, threads: int | None = None) -> Engine:
    """The engine that runs a form."""
    engines: dict[str, Engine] = {
        "bf16": TorchEngine(dtype="bfloat16", threads=threads),
        "onnx": OnnxEngine(threads=threads),
        "int8": OnnxEngine(precision="int8", threads=threads),
        "openvino": OpenvinoEngine(threads=threads),
    }
    return engines[form]


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
    path.unlink(missing_ok=True)
    if path.suffix == ".xml":
        path.with_suffix(".bin").unlink(missing_ok=True)
