"""A small encoder-decoder from scratch, with a byte-level BPE tokenizer trained on the training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sluice.models.bpe import byte_level_bpe
from sluice.models.scratch import FromScratch
from sluice.models.spec import Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


LONGEST = 1024
"""Tokens that an answer may have; a text as many, or more where `max_length` says so."""


class EncoderDecoder(FromScratch):
    """The Transformer (Vaswani et al. 2017) normalised before each block, as Pegasus has it (Zhang et al. 2020)."""

    architecture: ClassVar[Architecture | None] = "encoder_decoder"

    decoder_layers: int = Field(3, ge=1)
    feed_forward: int = Field(1024, ge=8)
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of activations dropped."""

    def tokenizer(self, texts: Iterable[str], max_length: int) -> PreTrainedTokenizerBase:
        """Byte-level BPE, trained on the texts; a text has an end and no beginning, as in T5 and Pegasus."""
        tokenizer = byte_level_bpe(texts, self.vocabulary, max_length, lowercase=self.lowercase, opening=False)
        tokenizer.eos_token = tokenizer.sep_token
        return tokenizer

    def model(
        self,
        model_class: type[Any],
        labels: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        ids: Sequence[Sequence[int]],
    ) -> PreTrainedModel:
        """New weights, drawn from torch's seed; embeddings are as long as the positions that are added to them."""
        import torch
        from transformers import PegasusConfig

        config = PegasusConfig(
            vocab_size=len(tokenizer),
            d_model=self.hidden,
            encoder_layers=self.layers,
            decoder_layers=self.decoder_layers,
            encoder_attention_heads=self.heads,
            decoder_attention_heads=self.heads,
            encoder_ffn_dim=self.feed_forward,
            decoder_ffn_dim=self.feed_forward,
            max_position_embeddings=max(LONGEST, tokenizer.model_max_length),
            dropout=self.dropout,
            scale_embedding=True,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
            forced_eos_token_id=None,  # an answer that was cut is said to be
        )
        model: PreTrainedModel = model_class.from_config(config)
        torch.nn.init.normal_(model.get_input_embeddings().weight, std=self.hidden**-0.5)
        return model
