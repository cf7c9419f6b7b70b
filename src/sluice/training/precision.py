"""Which number format this machine trains fastest in."""

from __future__ import annotations

from typing import Literal


def use_bf16(precision: Literal["auto", "bf16", "fp32"]) -> bool:
    """Whether to train in bf16: when asked, or by `auto` where the hardware multiplies it natively."""
    import torch

    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
