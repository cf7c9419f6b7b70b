"""Weights in bfloat16: half the size, for processors that compute in it."""

from __future__ import annotations

from pathlib import Path

from sluice.errors import UserError
from sluice.inference.engines.torch import BFLOAT16_FILE

WEIGHTS = "model.safetensors"


def halve(bundle: Path) -> Path:
    """Write the weights in bfloat16 beside those in float32. Returns their path."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    if not (bundle / WEIGHTS).exists():
        raise UserError(f"the weights of {bundle} lie in several files, and bf16 is made of one. Leave bf16 out")
    path = bundle / BFLOAT16_FILE
    with safe_open(bundle / WEIGHTS, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = file.metadata()
    save_file({name: one.to(torch.bfloat16) if one.is_floating_point() else one for name, one in weights.items()},
              path, about)  # fmt: skip
    return path
