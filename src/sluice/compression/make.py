"""A form of a bundle's model, by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sluice.inference.engines.formed import OF_DECODERS, engine_of
from sluice.inference.engines.onnx import FILES


def make(form: str, bundle: Path, calibration: Sequence[Any]) -> Path:
    """Write the form's file into the bundle and return its path; `calibration` are inputs of training rows."""
    from sluice.compression import calibrate, export, genai, halve, quantize

    if form in ("int8", "openvino") and not (bundle / FILES["float32"]).exists():
        export.export(bundle)
    if form in OF_DECODERS:
        return genai.build(bundle, engine_of(form).precision)  # type: ignore[attr-defined]
    if form == "bf16":
        return halve.halve(bundle)
    if form == "onnx":
        return export.export(bundle)
    return quantize.quantize(bundle) if form == "int8" else calibrate.calibrate(bundle, calibration)
