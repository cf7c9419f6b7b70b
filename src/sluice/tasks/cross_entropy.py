"""Cross-entropy over a vocabulary that stays in the scores' own number format."""

from __future__ import annotations

from typing import Any

import torch


class CrossEntropy(torch.autograd.Function):
    """Keeps one copy of the scores instead of four.

    The vocabulary is by far the widest thing in a small model: half of a step went into widening the scores to
    float32 and into passing over them again. In bf16 the gradient is rounded as autocast would round it right after.
    """

    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Minus the logarithm of each right token's probability, shape (tokens,); scores (tokens, vocabulary)."""
        with torch.autocast(scores.device.type, enabled=False):
            probabilities = torch.softmax(scores, dim=-1)
        ctx.save_for_backward(probabilities, right)
        found = probabilities.gather(1, right.unsqueeze(1)).squeeze(1).float()
        return -found.clamp_min(torch.finfo(torch.float32).tiny).log()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Probabilities minus the right answer."""
        probabilities, right = ctx.saved_tensors
        rows = torch.arange(len(right), device=right.device)
        # In place: nobody reads the probabilities again, for a graph is walked back once.
        probabilities[rows, right] -= 1
        return probabilities.mul_(gradient.unsqueeze(1).to(probabilities.dtype)), None


def cross_entropy(scores: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The loss in nats of each token, for learning."""
    each: torch.Tensor = CrossEntropy.apply(scores, right)  # type: ignore[no-untyped-call]
    return each
