"""Dropout that draws its masks a byte at a time: on a CPU, PyTorch's own takes up to a third of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask

LEVELS = 256
ATTENTION = "sluice_quick_dropout"
RATES = ("attention_probs_dropout_prob", "attention_dropout")
"""What configurations call the share of attention weights that is dropped."""


def quick_dropout(values: torch.Tensor, share: float) -> torch.Tensor:
    """Zero a share of the values, rounded to 1/256, and scale the rest so that the mean stays.

    PyTorch's generator gives 64 bits a draw: eight masks instead of one, and a resumed run still draws the same.
    """
    threshold = min(round(share * LEVELS), LEVELS - 1)
    count = values.numel()
    draws = torch.randint(-(2**63), 2**63 - 1, (-(-count // 8),), dtype=torch.int64).view(torch.uint8)[:count]
    kept = (draws >= threshold).to(values.dtype).mul_(LEVELS / (LEVELS - threshold))
    return values * kept.view(values.shape)


class QuickDropout(nn.Dropout):
    """`nn.Dropout` by `quick_dropout`."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Drop while training."""
        return quick_dropout(values, self.p) if self.training and self.p else values


def _attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in plain matrix products, as PyTorch itself falls back to when it has to drop weights on a CPU."""
    if not dropout:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    scores = query @ key.transpose(2, 3) * (query.size(-1) ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = quick_dropout(torch.softmax(scores, dim=-1), dropout)
    return (weights @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, eager_mask)


@contextmanager
def quickened(model: PreTrainedModel) -> Iterator[None]:
    """Give a model quick dropout for the time of a training on a CPU; a GPU draws its masks inside its kernels."""
    if torch.cuda.is_available():
        yield
        return
    plain = [module for module in model.modules() if type(module) is nn.Dropout]
    attention = model.config._attn_implementation
    drops = any(getattr(model.config, name, 0.0) for name in RATES)
    for module in plain:
        module.__class__ = QuickDropout
    if drops:
        model.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        for module in plain:
            module.__class__ = nn.Dropout
        if drops:
            model.set_attn_implementation(attention)
