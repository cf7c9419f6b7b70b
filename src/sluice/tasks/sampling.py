"""Texts that a decoder writes: greedily, or drawn so that each depends on its own seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ENDED = -1
"""Stands where nothing was written any more."""
ROWS = 8
"""Texts whose scores of the whole vocabulary are held at a time."""


def write(
    model: PreTrainedModel, batch: Mapping[str, Any], *, tokens: int, temperature: float, top_p: float, seed: int
) -> Any:
    """Ids of what follows each prompt, `ENDED` from its stop token on; shape (batch, at most `tokens`)."""
    import torch

    width = batch["input_ids"].shape[1]
    choices = _processors(temperature, top_p, seed, batch["input_ids"].shape[0]) if temperature else None
    found = model.generate(
        **batch, max_new_tokens=tokens, do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None,
        logits_processor=choices,
    )[:, width:]  # fmt: skip
    stops = model.generation_config.eos_token_id
    if stops is None:  # nothing ends an answer but its length
        return found
    listed = torch.tensor(stops if isinstance(stops, list) else [stops], device=found.device)
    return found.masked_fill(torch.isin(found, listed).cumsum(dim=1) > 0, ENDED)


def _processors(temperature: float, top_p: float, seed: int, rows: int) -> Any:
    """The greedy choice after these is a draw: adding Gumbel noise and taking the largest draws from the softmax.

    Each row has a generator of its own, so that an answer does not depend on what else is in its batch.
    """
    import torch
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    generators = [torch.Generator().manual_seed(seed) for _ in range(rows)]

    def noise(ids: Any, scores: Any) -> Any:
        draws = torch.stack([torch.rand(scores.shape[1], generator=one, dtype=torch.float64) for one in generators])
        return scores - (-draws.clamp_min(1e-300).log()).log().to(scores.device, scores.dtype)

    cut = [TopPLogitsWarper(top_p)] if top_p < 1 else []
    return LogitsProcessorList([TemperatureLogitsWarper(temperature), *cut, noise])


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
