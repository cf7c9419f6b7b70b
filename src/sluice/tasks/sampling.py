"""Texts that a decoder writes: greedily, or drawn so that each depends on its own seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sluice.tasks.written import Wish

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ENDED = -1
"""Stands where nothing was written any more."""
ROWS = 8
"""Texts whose scores of the whole vocabulary are held at a time."""


def write(model: PreTrainedModel, batch: Mapping[str, Any], wish: Wish) -> Any:
    """Ids of what follows each prompt, `ENDED` from its stop token on; shape (batch, at most `wish.tokens`)."""
    import torch

    rows, width = batch["input_ids"].shape
    places = getattr(model.config, "max_position_embeddings", None) or width + wish.tokens
    tokens = max(1, min(wish.tokens, places - width))
    choices = _processors(wish, rows) if wish.temperature else None
    found = model.generate(
        **batch, max_new_tokens=tokens, do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None,
        logits_processor=choices,
    )[:, width:]  # fmt: skip
    stops = model.generation_config.eos_token_id
    if stops is None:  # nothing ends an answer but its length
        return found
    listed = torch.tensor(stops if isinstance(stops, list) else [stops], device=found.device)
    return found.masked_fill(torch.isin(found, listed).cumsum(dim=1) > 0, ENDED)


class Draw:
    """Draws the tokens of one text: the largest of the scores that it returns is the token.

    Adding Gumbel noise and taking the largest draws from the softmax. Each text has a generator of its own, so
    that it does not depend on what else is in its batch.
    """

    def __init__(self, wish: Wish) -> None:
        import torch
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        self._generator = torch.Generator().manual_seed(wish.seed)
        self._warpers = [TemperatureLogitsWarper(wish.temperature)]
        if wish.top_p < 1:
            self._warpers.append(TopPLogitsWarper(wish.top_p))

    def __call__(self, scores: Any) -> Any:
        """Scores of the next token, shape (vocabulary,), with noise."""
        import torch

        row = scores.unsqueeze(0)
        for warper in self._warpers:
            row = warper(None, row)
        drawn = torch.rand(row.shape[1], generator=self._generator, dtype=torch.float64)
        return row[0] - (-drawn.clamp_min(1e-300).log()).log().to(row.device, row.dtype)


def _processors(wish: Wish, rows: int) -> Any:
    import torch
    from transformers import LogitsProcessorList

    draws = [Draw(wish) for _ in range(rows)]

    def noise(ids: Any, scores: Any) -> Any:
        return torch.stack([draw(row) for draw, row in zip(draws, scores, strict=True)])

    return LogitsProcessorList([noise])


def nats(model: PreTrainedModel, batch: Mapping[str, Any]) -> Any:
    """How unlikely each token is, given those before it, 0 for the first one; shape (batch, length)."""
    import torch

    parts = []
    for ids, mask in zip(batch["input_ids"].split(ROWS), batch["attention_mask"].split(ROWS), strict=True):
        positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
        scores = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(scores.float().transpose(1, 2), ids[:, 1:], reduction="none")
        parts.append(torch.nn.functional.pad(losses, (1, 0)))
    return torch.cat(parts)
