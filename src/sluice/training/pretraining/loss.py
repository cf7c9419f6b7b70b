"""Hiding tokens, and the loss of guessing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sluice.tasks.cross_entropy import cross_entropy
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
    return cross_entropy(logits, labels).mean()


def hidden_only(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, shape (hidden tokens, vocabulary), and labels of the hidden tokens; a sparse model has no others."""
    labels, logits = labels.view(-1), logits.view(-1, logits.shape[-1])
    hidden = labels != IGNORED
    return (logits if len(logits) == hidden.sum() else logits[hidden]), labels[hidden]
