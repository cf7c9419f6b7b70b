"""The tokenizer of models from scratch: byte-level BPE, trained on their own texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SPECIAL = {
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def byte_level_bpe(
    texts: Iterable[str],
    vocabulary: int,
    max_length: int,
    *,
    lowercase: bool = False,
    opening: bool = True,
    closing: bool = True,
) -> PreTrainedTokenizerBase:
    """A tokenizer of at most `vocabulary` tokens. Texts begin with `<s>` by `opening` and end with `</s>` by `closing`.

    Unlike WordPiece's trainer, this one gives the same vocabulary every time.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    first, last = SPECIAL["cls_token"], SPECIAL["sep_token"]
    single = " ".join([*([first] if opening else []), "$A", *([last] if closing else [])])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=f"{single} $B {last}" if closing else None,  # left out, two texts would run into each other
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (first, last)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        **SPECIAL,
    )
