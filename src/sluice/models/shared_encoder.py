"""An encoder from scratch whose layers are one layer, and whose embeddings are a product of two small matrices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sluice.models.bpe import byte_level_bpe
from sluice.models.encoder import ATTENTION
from sluice.models.scratch import FromScratch
from sluice.models.spec import label_maps

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class SharedEncoder(FromScratch):
    """ALBERT (Lan et al. 2020): a fraction of the size at the same depth, and as slow as if the layers were many."""

    embedding: int = Field(128, ge=8)
    """Width of a token's embedding, which one matrix for all tokens widens to `hidden`."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of activations dropped after every part of a layer, and before the classifier."""

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
        from transformers import AlbertConfig

        from sluice.models.lsa import start_embeddings

        config = AlbertConfig(
            vocab_size=len(tokenizer),
            embedding_size=self.embedding,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feed_forward,
            max_position_embeddings=tokenizer.model_max_length,
            hidden_dropout_prob=self.dropout,
            classifier_dropout_prob=self.dropout,
            hidden_act="gelu",
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
            **label_maps(labels),
        )
        model: PreTrainedModel = model_class.from_config(config, attn_implementation=ATTENTION)
        if ids:
            start_embeddings(model, tokenizer, ids)
        return model
