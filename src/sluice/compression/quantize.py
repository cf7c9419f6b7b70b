"""The ONNX graph in 8-bit integers: weights once and for all, activations as each input comes."""

from __future__ import annotations

from pathlib import Path

from sluice.compression.quiet import quiet
from sluice.inference.engines.onnx import FILES


def quantize(bundle: Path) -> Path:
    """Write the int8 graph beside the float32 one. Returns its path.

    Weights keep 7 bits: processors without VNNI add products of whole bytes in 16 bits, which overflow, so that
    another machine would answer otherwise than this one measured. A scale for each column makes up for the lost bit.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = bundle / FILES["int8"]
    with quiet():
        quantize_dynamic(
            bundle / FILES["float32"],
            path,
            op_types_to_quantize=["MatMul", "Gemm", "Gather"],  # attention has no weights
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    return path
