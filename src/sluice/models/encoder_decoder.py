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


class EncoderDecoder(FromScratch):
    """T5 1.1 (Raffel et al. 2020, Shazeer 2020) with tied embeddings, at a size that trains on a laptop."""

    architecture: ClassVar[Architecture | None] = "encoder_decoder"

    decoder_layers: int = Field(2, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of activations dropped."""

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
        """New weights, drawn from torch's seed.

        T5's own embeddings have a deviation of 1, and what is read off them is scaled down: made for an optimizer that
        takes steps in proportion to a weight's size. Adam's are as long everywhere, and learnt nothing from context in
        a thousand steps. So embeddings begin as small as in a decoder, and nothing is scaled.
        """
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
            scale_decoder_outputs=False,
        )
        model: PreTrainedModel = model_class.from_config(config)
        model.get_input_embeddings().weight.data.mul_(self.hidden**-0.5)
        return model
