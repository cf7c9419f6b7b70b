"""Hiding tokens, and the loss of guessing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sluice.tasks.task import IGNORED


def hide(
    ids: torch.Tensor, share: float, mask: int, special: Sequence[int], generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids with a share of them replaced by the mask token, and the labels; shapes (batch, length).

    All chosen tokens become the mask token (Wettig et al. 2023: no worse than leaving or swapping some), and every
    sequence has the same number of them: one shape for the vocabulary's matrix product, whose kernels are prepared
    anew for every new shape.
    """
    unwanted = torch.isin(ids, torch.tensor(special, device=ids.device))
    draws = torch.rand(ids.shape, generator=generator, device=ids.device) + unwanted
    chosen = draws.topk(max(1, round(share * ids.shape[1])), dim=1, largest=False).indices
    labels = torch.full_like(ids, IGNORED).scatter(1, chosen, ids.gather(1, chosen))
    labels = labels.masked_fill(unwanted, IGNORED)
    return ids.masked_fill(labels != IGNORED, mask), labels


def masked_loss(logits: torch.Tensor, labels: torch.Tensor, **_: Any) -> torch.Tensor:
    """Mean cross entropy over the hidden tokens, in the form of a transformers `loss_function`."""
    logits, labels = hidden_only(logits, labels)
    loss: torch.Tensor = CrossEntropy.apply(logits, labels)  # type: ignore[no-untyped-call]
    return loss


def hidden_only(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, shape (hidden tokens, vocabulary), and labels of the hidden tokens; a sparse model has no others."""
    labels, logits = labels.view(-1), logits.view(-1, logits.shape[-1])
    hidden = labels != IGNORED
    return (logits if len(logits) == hidden.sum() else logits[hidden]), labels[hidden]


class CrossEntropy(torch.autograd.Function):
    """Cross entropy that stays in the logits' own number format and keeps one copy of them instead of four.

    The vocabulary is by far the widest thing in a small model: half of a step went into widening the logits to
    float32 and into passing over them again. In bf16 the gradient is rounded as autocast would round it right after.
    """

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the rows of minus the logarithm of the right token's probability."""
        with torch.autocast(logits.device.type, enabled=False):
            probabilities = torch.softmax(logits, dim=-1)
        right = probabilities.gather(1, labels.unsqueeze(1)).float()
        ctx.save_for_backward(probabilities, labels)
        return -right.clamp_min(torch.finfo(torch.float32).tiny).log().mean()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Probabilities minus the right answer, over the number of rows."""
        probabilities, labels = ctx.saved_tensors
        rows = torch.arange(len(labels), device=labels.device)
        # In place: nobody reads the probabilities again, for a graph is walked back once.
        probabilities[rows, labels] -= 1
        return probabilities.mul_((gradient / len(labels)).to(probabilities.dtype)), None
