"""A small encoder-decoder from scratch, with a byte-level BPE tokenizer trained on the training rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sluice.models.bpe import byte_level_bpe
from sluice.models.checkpoint import Checkpoint
from sluice.models.spec import Architecture, ModelSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class EncoderDecoder(ModelSpec):
    """T5 1.1 (Raffel et al. 2020, Shazeer 2020) with tied embeddings, at a size that trains on a laptop."""

    architecture: ClassVar[Architecture | None] = "encoder_decoder"

    vocabulary: int = Field(16_000, ge=300)
    """Tokens in the vocabulary, at most; small data fills less."""
    lowercase: bool = False
    """Whether upper case is folded before tokenizing, and so in what is written."""
    hidden: int = Field(256, ge=8)
    """Width of the residual stream."""
    layers: int = Field(2, ge=1)
    """Of the encoder."""
    decoder_layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    feed_forward: int = Field(512, ge=8)
    """Width inside the gated feed-forward blocks."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of activations dropped."""

    def fingerprint(self) -> str:
        """The configuration is all there is."""
        return self.digest()

    def tokenizer(self, texts: Iterable[str], max_length: int) -> PreTrainedTokenizerBase:
        """Byte-level BPE, trained on the texts; a text has an end and no beginning, as T5 has it."""
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
        """New weights, drawn from torch's seed."""
        from transformers import T5Config

        config = T5Config(
            vocab_size=len(tokenizer),
            d_model=self.hidden,
            d_kv=self.hidden // self.heads,
            d_ff=self.feed_forward,
            num_layers=self.layers,
            num_decoder_layers=self.decoder_layers,
            num_heads=self.heads,
            dropout_rate=self.dropout,
            feed_forward_proj="gated-gelu",
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            decoder_start_token_id=tokenizer.pad_token_id,
        )
        return model_class.from_config(config)

    def pretrained(self, folder: Path) -> ModelSpec:
        """The pretrained weights."""
        return Checkpoint(path=str(folder))
