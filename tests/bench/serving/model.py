"""The models that are served. Their weights are as drawn: they cost as much as others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sluice.inference.bundle import BUNDLE, Bundle, Lineage
from sluice.inference.engines.onnx import FILES
from tests.bench.serving.texts import LONGEST

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LABELS = tuple(f"topic {number:02}" for number in range(16))
LINEAGE = Lineage(data="d" * 64, split="e" * 64, config="f" * 64, git="none")
VOCABULARY = 12_000
INITIAL = 0.1
"""Standard deviation of the weights: wide enough that an untrained model has opinions."""


def encoder(folder: Path, docs: Sequence[str]) -> Path:
    """A bundle that classifies, with its ONNX forms; made once.

    The bundle does not name them, as nothing of what an untrained model answers could be measured: whoever leaves the
    choice of an engine to the bundle, as `mlflow models serve` does, runs PyTorch.
    """
    from sluice.compression.export import export
    from sluice.compression.quantize import quantize

    if not (folder / FILES["int8"]).exists():
        _classifier(_tokenizer(folder, docs)).save_pretrained(folder)
        fields = {"max_length": LONGEST}
        Bundle(task="classification", fields=fields, labels=LABELS, lineage=LINEAGE).write(folder)
        export(folder)
        quantize(folder)
    return folder


def decoder(folder: Path, docs: Sequence[str]) -> Path:
    """A bundle that chats: 12 layers of 512; made once."""
    import torch

    from sluice.models.decoder import Decoder
    from sluice.tasks.chat import TEMPLATE, Chat

    if not (folder / BUNDLE).exists():
        recipe = Decoder(vocabulary=8000, layers=12, hidden=512, heads=8, key_value_heads=8, feed_forward=1408)
        task = Chat(max_length=512)
        tokenizer = recipe.tokenizer(docs, task.max_length)
        tokenizer.chat_template = TEMPLATE
        torch.manual_seed(0)
        recipe.model(task.model_class(), [], tokenizer, []).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        task.export(folder)
        Bundle(task=task.name, fields={"max_length": 512}, labels=(), lineage=LINEAGE).write(folder)
    return folder


def _tokenizer(folder: Path, docs: Sequence[str]) -> PreTrainedTokenizerBase:
    from sluice.models.bpe import byte_level_bpe

    tokenizer = byte_level_bpe(docs, VOCABULARY, LONGEST)
    tokenizer.save_pretrained(folder)
    return tokenizer


def _classifier(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    import torch
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    from sluice.models.spec import label_maps

    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        intermediate_size=768,
        max_position_embeddings=LONGEST,
        classifier_pooling="mean",
        initializer_range=INITIAL,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **label_maps(LABELS),
    )
    return ModernBertForSequenceClassification(config)
