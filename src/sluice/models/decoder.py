"""A small decoder from scratch, with a byte-level BPE tokenizer trained on the training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sluice.models.bpe import byte_level_bpe
from sluice.models.scratch import FromScratch
from sluice.models.spec import Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Decoder(FromScratch):
    """Llama's architecture (Touvron et al. 2023) with tied embeddings, at a size that trains on a laptop."""

    architecture: ClassVar[Architecture | None] = "decoder"

    vocabulary: int = Field(8_000, ge=300)
    layers: int = Field(4, ge=1)
    key_value_heads: int = Field(4, ge=1)
    """Fewer than `heads`: groups of heads share keys and values (Ainslie et al. 2023), which take less memory."""
    feed_forward: int = Field(704, ge=8)
    context: int = Field(1024, ge=16)
    """Most tokens of a prompt and its answer together."""

    def tokenizer(self, texts: Iterable[str], max_length: int) -> PreTrainedTokenizerBase:
        """Byte-level BPE, trained on the texts; a text begins with `<s>`, and `</s>` is only added where it ends."""
        tokenizer = byte_level_bpe(texts, self.vocabulary, self.context, lowercase=self.lowercase, closing=False)
        tokenizer.bos_token, tokenizer.eos_token = tokenizer.cls_token, tokenizer.sep_token
        return tokenizer

    def model(
        self,
        model_class: type[Any],
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        ids: Sequence[Sequence[int]],
    ) -> PreTrainedModel:
        """New weights, drawn from torch's seed."""
        from transformers import LlamaConfig

        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_value_heads,
            intermediate_size=self.feed_forward,
            max_position_embeddings=self.context,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        return model_class.from_config(config)
