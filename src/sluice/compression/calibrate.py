"""The ONNX graph in 8-bit integers for OpenVINO: weights and activations scaled once, by what training rows show."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sluice.compression.quiet import quiet
from sluice.errors import UserError
from sluice.inference.engines.onnx import FILES, padded
from sluice.inference.engines.onnx import PADDING as SAID
from sluice.inference.engines.openvino import EXTRA, FILE, PADDING, REST, silence
from sluice.inference.predictor import Texts
from sluice.inference.processor import computes_bfloat16

FEWEST = 50
"""Rows below which the range of activations is anybody's guess."""


def obstacle(rows: int) -> str | None:
    """Why the form cannot be made here of so many training rows, in one line; None where it can."""
    for library in ("openvino", "nncf"):
        if find_spec(library) is None:
            return f"{library} is not installed: {EXTRA}"
    if rows < FEWEST:
        return f"activations are scaled by training rows, and there are {rows}, expected at least {FEWEST}"
    return None


def calibrate(bundle: Path, inputs: Sequence[Any]) -> Path:
    """Write the graph beside the float32 one, scaled by these inputs of training rows. Returns its path.

    By NNCF: smooth quantization (Xiao et al. 2023) and bias correction, as for Transformers. Raises UserError where
    there is an obstacle.
    """
    if why := obstacle(len(inputs)):
        raise UserError(f"no openvino: {why}. Leave that form out")
    silence()
    with quiet(), redirect_stdout(io.StringIO()):
        import nncf
        import onnx
        import openvino

        graph = bundle / FILES["float32"]
        said = {one.key: one.value for one in onnx.load(graph, load_external_data=False).metadata_props}
        rows = [one.ids for one in Texts(bundle).encode(inputs)]
        data = nncf.Dataset(rows, lambda ids: padded([ids], int(said[SAID])))
        model = openvino.convert_model(graph)
        scaled = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows))
        scaled.set_rt_info(said[SAID], PADDING)
        scaled.set_rt_info("bf16" if computes_bfloat16() else "f32", REST)
        openvino.save_model(scaled, bundle / FILE, compress_to_fp16=False)
    return bundle / FILE
