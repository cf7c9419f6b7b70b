"""A small encoder from scratch, with a byte-level BPE tokenizer trained on the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from sluice.models.spec import ModelSpec, label_maps

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SPECIAL = {
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


class Encoder(ModelSpec):
    """ModernBERT (Warner et al. 2024) with mean pooling, at a size that trains on a laptop."""

    vocabulary: int = Field(16_000, ge=300)
    """Tokens in the vocabulary, at most; small data fills less."""
    lowercase: bool = True
    """Whether upper case is folded before tokenizing."""
    hidden: int = Field(256, ge=8)
    """Width of the residual stream."""
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    feed_forward: int = Field(512, ge=8)
    """Width inside the gated feed-forward blocks."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of activations dropped in embeddings and before the classifier."""

    def fingerprint(self) -> str:
        """The configuration is all there is."""
        return self.digest()

    def tokenizer(self, texts: Sequence[str], max_length: int) -> PreTrainedTokenizerBase:
        """Byte-level BPE: unlike WordPiece's trainer, its trainer gives the same vocabulary every time."""
        from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
        from transformers import PreTrainedTokenizerFast

        tokenizer = Tokenizer(models.BPE())
        if self.lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            special_tokens=list(SPECIAL.values()),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        first, last = SPECIAL["cls_token"], SPECIAL["sep_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}",
            special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            model_max_length=max_length,
            model_input_names=["input_ids", "attention_mask"],
            **SPECIAL,
        )

    def model(
        self, model_class: type[Any], labels: Sequence[str], tokenizer: PreTrainedTokenizerBase
    ) -> PreTrainedModel:
        """New weights, drawn from torch's seed."""
        from transformers import ModernBertConfig

        config = ModernBertConfig(
            vocab_size=len(tokenizer),
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            intermediate_size=self.feed_forward,
            max_position_embeddings=tokenizer.model_max_length,
            embedding_dropout=self.dropout,
            classifier_dropout=self.dropout,
            classifier_pooling="mean",
            pad_token_id=tokenizer.pad_token_id,
            cls_token_id=tokenizer.cls_token_id,
            sep_token_id=tokenizer.sep_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
            **label_maps(labels),
        )
        return model_class.from_config(config)
