"""What a model learns from unlabelled text, by its architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

import torch

from sluice.tasks.cross_entropy import cross_entropy
from sluice.tasks.task import IGNORED
from sluice.tasks.tokens import token_scores
from sluice.training.pretraining.loss import hidden_only, hide, masked_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from sluice.training.pretraining.settings import Pretrain

Kind = Literal["mlm", "causal", "spans"]
ALONE = 16
"""Sequences whose tokens are hidden one at a time."""


class Objective(ABC):
    """Draws what is to be guessed of token sequences, shape (batch, length), and has a model guess it."""

    def __init__(self, settings: Pretrain, tokenizer: PreTrainedTokenizerBase) -> None:
        self.share, self.span = settings.mask_share, settings.span
        self.tokenizer = tokenizer

    @staticmethod
    @abstractmethod
    def auto() -> Any:
        """The Auto class of the models that learn so."""

    @abstractmethod
    def scores(
        self, model: PreTrainedModel, ids: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the vocabulary for what has to be guessed, shape (tokens, vocabulary), and what is right."""

    def ready(self, model: PreTrainedModel) -> None:  # noqa: B027 - most have nothing to do
        """Set a model up for learning, without a trace in its configuration."""

    def final_figures(self, model: PreTrainedModel, ids: torch.Tensor) -> dict[str, float]:
        """What is measured once, when all is learnt, on held-out sequences."""
        return {}

    def loss(self, model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy."""
        return cross_entropy(*self.scores(model, ids)).mean()


class Masked(Objective):
    """Hidden tokens, by an encoder (Devlin et al. 2019)."""

    @staticmethod
    def auto() -> Any:
        """Encoders with the vocabulary as head."""
        from transformers import AutoModelForMaskedLM

        return AutoModelForMaskedLM

    def ready(self, model: PreTrainedModel) -> None:
        """ModernBERT then computes the vocabulary's scores for hidden tokens only: a step takes 0.4 of the time."""
        model.sparse_prediction = True
        model.loss_function = masked_loss

    def scores(
        self, model: PreTrainedModel, ids: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The hidden tokens'."""
        hidden, labels = self._hide(ids, generator)
        return hidden_only(model(input_ids=hidden, labels=labels).logits, labels)

    def loss(self, model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
        """The model's own, which `ready` made ours."""
        hidden, labels = self._hide(ids)
        loss: torch.Tensor = model(input_ids=hidden, labels=labels).loss
        return loss

    def final_figures(self, model: PreTrainedModel, ids: torch.Tensor) -> dict[str, float]:
        """Perplexity of each token where all others are seen (Salazar et al. 2020), on the first sequences."""
        losses = []
        special = torch.tensor(self.tokenizer.all_special_ids, device=ids.device)
        for row in ids[:ALONE]:
            places = (~torch.isin(row, special)).nonzero()
            hidden = row.repeat(len(places), 1).scatter(1, places, self.tokenizer.mask_token_id)
            labels = torch.full_like(hidden, IGNORED).scatter(1, places, row[places])
            with torch.no_grad():
                logits, right = hidden_only(model(input_ids=hidden, labels=labels).logits, labels)
            losses.append(torch.nn.functional.cross_entropy(logits.float(), right, reduction="none"))
        return {"pseudo_perplexity": torch.cat(losses).mean().exp().item()}

    def _hide(self, ids: torch.Tensor, generator: torch.Generator | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        mask, special = self.tokenizer.mask_token_id, self.tokenizer.all_special_ids
        return hide(ids, self.share, mask, special, generator)


class Causal(Objective):
    """Every token after those before it, by a decoder."""

    @staticmethod
    def auto() -> Any:
        """Decoders."""
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM

    def scores(
        self, model: PreTrainedModel, ids: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All tokens' but the first ones'."""
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        return logits.flatten(0, 1), ids[:, 1:].flatten()


class Spans(Objective):
    """Runs of tokens that were taken out, by an encoder-decoder: short (Raffel et al. 2020) or long (Tay et al. 2022).

    Every sequence loses as many spans of as many tokens: one shape for all batches. Where a span was, the input has a
    mark, and the answer has it before the span's tokens: T5's own marks, or the mask token for all, since their order
    tells which is meant.
    """

    @staticmethod
    def auto() -> Any:
        """Encoder-decoders."""
        from transformers import AutoModelForSeq2SeqLM

        return AutoModelForSeq2SeqLM

    def scores(
        self, model: PreTrainedModel, ids: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The answers' tokens'."""
        given, answers = take_out(ids, self.share, self.span, self._marks(ids), self.tokenizer.eos_token_id, generator)
        decoder = getattr(model, "module", model).prepare_decoder_input_ids_from_labels(answers)
        scores = token_scores(model, {"input_ids": given, "decoder_input_ids": decoder, "use_cache": False}, answers)
        return scores, answers[answers != IGNORED]

    def _marks(self, ids: torch.Tensor) -> torch.Tensor:
        own = [token for token in self.tokenizer.get_added_vocab() if token.startswith("<extra_id_")]
        names = sorted(own, key=lambda token: int(token.strip("<>").rpartition("_")[2]))
        found = self.tokenizer.convert_tokens_to_ids(names) if names else [self.tokenizer.mask_token_id] * ids.shape[1]
        return torch.tensor(found, device=ids.device)


OBJECTIVES: dict[Kind, type[Objective]] = {"mlm": Masked, "causal": Causal, "spans": Spans}


def take_out(
    ids: torch.Tensor, share: float, span: int, marks: torch.Tensor, end: int, generator: torch.Generator | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences without some spans, and the spans; shapes (batch, kept + spans) and (batch, taken + spans + 1).

    Lengths of the spans, `span` tokens on average, and of what is between them are drawn evenly among all that have the
    same sums.
    """
    batch, length = ids.shape
    taken = max(1, round(share * length))
    spans = min(max(1, round(taken / span)), length - taken, len(marks))
    outside = _parts(batch, length - taken, spans, generator, ids.device)
    inside = _parts(batch, taken, spans, generator, ids.device)
    both = torch.stack([outside, inside], dim=2).flatten(1)
    kind = torch.arange(2 * spans, device=ids.device).repeat(batch, 1)
    part = torch.stack([row.repeat_interleave(sizes) for row, sizes in zip(kind, both, strict=True)])
    gone = part % 2 == 1
    first = torch.cat([torch.zeros_like(gone[:, :1]), gone[:, 1:] & ~gone[:, :-1]], dim=1)
    mark = marks[part // 2]
    # A mark stands in the input for a span's first token, and in the answer before it.
    given = torch.where(first, mark, ids)[~gone | first].view(batch, length - taken + spans)
    doubled = torch.stack([mark, ids], dim=2)
    wanted = torch.stack([first, gone], dim=2)
    answers = doubled[wanted].view(batch, taken + spans)
    return given, torch.cat([answers, torch.full_like(answers[:, :1], end)], dim=1)


def _parts(batch: int, total: int, count: int, generator: torch.Generator | None, device: torch.device) -> torch.Tensor:
    """`count` whole numbers of at least 1 with the sum `total`, by row; shape (batch, count)."""
    draws = torch.rand((batch, total - 1), generator=generator, device=device)
    cuts = draws.topk(count - 1, dim=1).indices.sort(dim=1).values + 1
    edges = torch.cat([cuts.new_zeros(batch, 1), cuts], dim=1)
    return torch.diff(edges, append=torch.full_like(edges[:, :1], total))
