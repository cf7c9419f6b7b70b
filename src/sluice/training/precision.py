"""Which number format this machine trains fastest in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Format = Literal["bf16", "fp16", "fp32"]
Precision = Literal["auto", "bf16", "fp16", "fp32"]


def resolve_precision(precision: Precision) -> Format:
    """The asked format, or by `auto` the one that the hardware multiplies natively."""
    import torch

    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def autocast(precision: Precision, device: str) -> torch.autocast:
    """What the model is called in: bf16 where that is the format; fp16 is Trainer's affair, which scales gradients.

    Trainer's own for bf16 would widen the scores of a whole vocabulary to float32 on their way out.
    """
    import torch

    return torch.autocast(device, torch.bfloat16, resolve_precision(precision) == "bf16")
