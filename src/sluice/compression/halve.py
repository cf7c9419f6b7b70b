"""Weights in bfloat16: half the size, for processors that compute in it."""

from __future__ import annotations

from pathlib import Path

from sluice.errors import UserError
from sluice.inference.engines.torch import BFLOAT16_FILE

WEIGHTS = "model.safetensors"


def obstacle(bundle: Path) -> str | None:
    """Why there is no bf16 form of this bundle, in one line; None where there can be one."""
    return None if (bundle / WEIGHTS).exists() else "the weights lie in several files, and the form is made of one"


def halve(bundle: Path) -> Path:
    """Write the weights in bfloat16 beside those in float32. Returns their path. Raises UserError, see `obstacle`."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    if why := obstacle(bundle):
        raise UserError(f"no bf16: {why}. Leave that form out")
    path = bundle / BFLOAT16_FILE
    with safe_open(bundle / WEIGHTS, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = file.metadata()
    save_file({name: one.to(torch.bfloat16) if one.is_floating_point() else one for name, one in weights.items()},
              path, about)  # fmt: skip
    return path
