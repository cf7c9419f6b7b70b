"""Scores and losses of written tokens, each given the right ones before it: what tasks share that learn to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sluice.tasks.task import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def token_scores(model: PreTrainedModel, batch: Mapping[str, Any], targets: Any) -> Any:
    """Scores of the vocabulary for tokens with a target only, shape (such tokens, vocabulary).

    The vocabulary is by far the widest thing in a small model: its product is left out where nothing is learnt.
    """
    head = getattr(model, "module", model).get_output_embeddings()
    where = targets != IGNORED
    handle = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][where],))
    try:
        return model(**batch).logits
    finally:
        handle.remove()


def token_losses(scores: Any, targets: Any, smoothing: float) -> Any:
    """The loss in nats of each token with a target, shape (such tokens,)."""
    import torch

    from sluice.tasks.cross_entropy import cross_entropy

    right = targets[targets != IGNORED]
    if scores.requires_grad and not smoothing:
        return cross_entropy(scores, right)
    return torch.nn.functional.cross_entropy(scores.float(), right, reduction="none", label_smoothing=smoothing)


def token_sums(scores: Any, targets: Any) -> Any:
    """By row the sum of the losses in nats, the tokens that would be guessed, and all of them; shape (rows, 3)."""
    import torch

    where = targets != IGNORED
    rows = where.nonzero()[:, 0]
    hits = (scores.argmax(dim=-1) == targets[where]).float()
    each = torch.stack([token_losses(scores, targets, 0.0), hits, torch.ones_like(hits)], dim=1)
    return torch.zeros(len(targets), 3, device=each.device).index_add_(0, rows, each)


def token_figures(kept: Any) -> dict[str, float]:
    """Loss and accuracy by token, from sums of shape (rows, 3)."""
    losses, hits, tokens = kept.sum(axis=0).tolist()
    return {"nats_per_token": losses / tokens, "token_accuracy": hits / tokens}
