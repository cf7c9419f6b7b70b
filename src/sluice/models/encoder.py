"""A small encoder from scratch, with a byte-level BPE tokenizer trained on the training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sluice.models.bpe import byte_level_bpe
from sluice.models.checkpoint import Checkpoint
from sluice.models.scratch import FromScratch
from sluice.models.spec import ModelSpec, label_maps

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ATTENTION = "eager"
"""Fused attention's backward pass costs more than plain matrix products at the lengths of a row of text."""


class Encoder(FromScratch):
    """ModernBERT (Warner et al. 2024) with mean pooling, at a size that trains on a laptop."""

    layers: int = Field(1, ge=1)
    embeddings: Literal["lsa", "random"] = "lsa"
    """How token embeddings start: from which tokens share training rows, or drawn at random."""
    embedding_dropout: float = Field(0.3, ge=0, lt=1)
    """Share of the embeddings' activations dropped: what keeps a model of few rows from learning them by heart."""
    classifier_dropout: float = Field(0.2, ge=0, lt=1)
    """Share of activations dropped before the classifier."""

    def tokenizer(self, texts: Iterable[str], max_length: int) -> PreTrainedTokenizerBase:
        """Byte-level BPE, trained on the texts."""
        return byte_level_bpe(texts, self.vocabulary, max_length, lowercase=self.lowercase)

    def model(
        self,
        model_class: type[Any],
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        ids: Sequence[Sequence[int]],
    ) -> PreTrainedModel:
        """New weights, drawn from torch's seed; embeddings that know which tokens keep company in `ids`."""
        from transformers import ModernBertConfig

        config = ModernBertConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feed_forward,
            max_position_embeddings=tokenizer.model_max_length,
            embedding_dropout=self.embedding_dropout,
            classifier_dropout=self.classifier_dropout,
            classifier_pooling="mean",
            pad_token_id=tokenizer.pad_token_id,
            cls_token_id=tokenizer.cls_token_id,
            sep_token_id=tokenizer.sep_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
            **label_maps(labels),
        )
        from sluice.models.lsa import start_embeddings

        model = model_class.from_config(config, attn_implementation=ATTENTION)
        if self.embeddings == "lsa":
            start_embeddings(model, tokenizer, ids)
        return model

    def bare(self, model_class: type[Any], labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> Any:
        """Without starting values, which take no memory of their own."""
        if self.embeddings == "random":
            return super().bare(model_class, labels, tokenizer)
        return self.model_copy(update={"embeddings": "random"}).bare(model_class, labels, tokenizer)

    def backbone(self) -> ModelSpec:
        """Without dropout: there is far more text than the model could learn by heart."""
        return self.model_copy(update={"embedding_dropout": 0.0, "classifier_dropout": 0.0})

    def pretrained(self, folder: Path) -> ModelSpec:
        """The pretrained weights, with this recipe's dropouts."""
        return Pretrained(
            path=str(folder), embedding_dropout=self.embedding_dropout, classifier_dropout=self.classifier_dropout
        )


class Pretrained(Checkpoint):
    """An `Encoder` after pretraining."""

    embedding_dropout: float
    classifier_dropout: float

    def options(self) -> dict[str, Any]:
        """What a fine-tuning chooses for itself."""
        return {
            "embedding_dropout": self.embedding_dropout,
            "classifier_dropout": self.classifier_dropout,
            "attn_implementation": ATTENTION,
        }
