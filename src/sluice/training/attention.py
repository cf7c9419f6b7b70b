"""Attention as trainings compute it: quick dropout on a CPU, and rows side by side that do not see each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from sluice.training.dropout import QuickDropout, quick_dropout
from sluice.training.precision import Precision, resolve_precision

PLAIN = "sluice_plain"
BY_ROW = "sluice_by_row"
SHORT = 512
"""Tokens up to which plain products in bf16 take a third to a half of the time of PyTorch's fused kernel on a CPU,
forward and backward; they keep the square of it in memory."""
RATES = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop")
"""What configurations call the share of attention weights that is dropped."""


def _plain(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    position_bias: torch.Tensor | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attention in plain matrix products, where they are faster: with quick dropout, and for short rows in bf16."""
    if not _plain_wins(query, key, dropout):
        options["position_bias"] = position_bias
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **options)
    query, key, value = _alike(query, key, value)
    kind = query.dtype
    with torch.autocast(query.device.type, enabled=False):
        scores = query * (query.shape[-1] ** -0.5 if scaling is None else scaling) @ key.transpose(2, 3)
        for added in (position_bias, attention_mask):
            if added is not None:
                scores = scores + added.to(kind)
        weights = torch.softmax(scores, dim=-1)
        if dropout:
            weights = quick_dropout(weights, dropout)
        return (weights @ value).transpose(1, 2).contiguous(), None


def _by_row(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each row of a batch of one sequence; a row begins where positions do.

    A mask over the whole batch would cost the square of its tokens. A GPU with flash attention takes all rows at once.
    """
    lengths, borders = _rows(position_ids)
    if _flash_can(query, dropout):
        query, key, value = (one[0].transpose(0, 1) for one in _alike(query, key, value))
        most = max(lengths)
        rows: Any = varlen_attn(query, key, value, borders, borders, most, most, scale=scaling, window_size=(-1, 0))
        return rows.unsqueeze(0), None
    found = []
    split = (torch.split(one, lengths, 2) for one in (query, key, value))
    for asked, known, told in zip(*split, strict=True):
        size, mask = asked.shape[2], None
        if _plain_wins(asked, known, dropout):
            mask = torch.full((size, size), -torch.inf).triu(1)
        found.append(_plain(module, asked, known, told, mask, scaling, dropout, is_causal=mask is None)[0])
    return torch.cat(found, dim=1), None


def _alike(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> list[torch.Tensor]:
    """All three in the format that matrices are multiplied in, with as many heads."""
    kind, shared = _format(query), query.shape[1] // key.shape[1]
    if shared > 1:
        key, value = key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1)
    return [one.to(kind) for one in (query, key, value)]


@lru_cache(maxsize=1)
def _rows(position_ids: torch.Tensor) -> tuple[list[int], torch.Tensor]:
    """Lengths of the rows, and their borders; every layer of a pass asks about the same tensor, a GPU waits once."""
    starts = (position_ids[0] == 0).nonzero().flatten()
    borders = torch.cat([starts, starts.new_tensor([position_ids.shape[1]])]).int()
    return borders.diff().tolist(), borders


def _flash_can(query: torch.Tensor, dropout: float) -> bool:
    if not query.is_cuda or dropout or _format(query) == torch.float32:
        return False
    return torch.cuda.get_device_capability(query.device) >= (8, 0) and query.shape[-1] % 8 == 0


def _plain_wins(query: torch.Tensor, key: torch.Tensor, dropout: float) -> bool:
    return not query.is_cuda and (dropout > 0 or (_format(query) == torch.bfloat16 and key.shape[2] <= SHORT))


def _format(values: torch.Tensor) -> torch.dtype:
    """The number format that matrices are multiplied in."""
    kind = values.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype


AttentionInterface.register(PLAIN, _plain)
AttentionMaskInterface.register(PLAIN, eager_mask)
AttentionInterface.register(BY_ROW, _by_row)  # without a mask function of its own, transformers makes no mask


@contextmanager
def quickened(model: PreTrainedModel, precision: Precision, by_row: bool = False) -> Iterator[None]:
    """Give a model these for the time of a training; a GPU has kernels for all but the rows."""
    on_cpu = not torch.cuda.is_available()
    drops = [module for module in model.modules() if type(module) is nn.Dropout and on_cpu]
    attention = model.config._attn_implementation
    plain = any(getattr(model.config, name, 0.0) for name in RATES) or resolve_precision(precision) == "bf16"
    ours = attention == "sdpa" and (by_row or (on_cpu and plain))
    for module in drops:
        module.__class__ = QuickDropout
    if ours:
        model.set_attn_implementation(BY_ROW if by_row else PLAIN)
    try:
        yield
    finally:
        for module in drops:
            module.__class__ = nn.Dropout
        if ours:
            model.set_attn_implementation(attention)


def keeps_rows_apart(model: PreTrainedModel) -> bool:
    """Whether a decoder reads rows side by side as it reads each alone.

    Tried, not looked up: some families (OPT, Falcon, BLOOM, MPT) have other attention or other positions, and would
    without a word let texts see each other.
    """
    config = model.config.get_text_config()
    windows = any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or [])
    if model.config._attn_implementation != "sdpa" or windows or getattr(config, "sliding_window", None):
        return False
    lengths = [5, 3]
    ids = (torch.arange(sum(lengths), device=model.device) * 7 % config.vocab_size).unsqueeze(0)
    positions = torch.cat([torch.arange(length, device=model.device) for length in lengths]).unsqueeze(0)
    learning = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone = torch.cat([model(input_ids=row, use_cache=False).logits for row in ids.split(lengths, 1)], dim=1)
            together = model(input_ids=ids, use_cache=False).logits
            with quickened(model, "fp32", by_row=True):
                beside = model(input_ids=ids, position_ids=positions, use_cache=False).logits
    except TypeError:  # takes no positions, or hands none to its attention
        return False
    finally:
        model.train(learning)
    return bool((beside - alone).abs().max() < 0.01 * (together - alone).abs().max())
