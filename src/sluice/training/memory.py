"""How much memory a training will take, told before it starts, and refused where it cannot fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sluice.errors import UserError
from sluice.models.spec import ModelSpec
from sluice.tasks.packing import Packing
from sluice.tasks.task import IGNORED, Task
from sluice.training.precision import resolve_precision
from sluice.training.rows import Rows
from sluice.training.settings import Lora, Train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WEIGHT, GRADIENT, ADAM = 4, 4, 8
"""Bytes a parameter, of one that learns all three: weights are read and learn in float32; those that stay are halved
where they are multiplied in bf16."""
KEPT, KEPT_RECOMPUTED = 140, 4
"""Bytes that a layer keeps for its backward pass, by token and unit of its width: 140 to 200 were measured for encoders
and decoders of 256 and 512 units in float32, half of it in bf16 or fp16. What is refused must not fit for certain, so
the least counts. With gradient checkpointing a layer keeps its input alone, and one layer all."""
SCORES = 12
"""Bytes a score of the vocabulary: the score, its softmax and its gradient."""
LAYERS = ("num_hidden_layers", "num_decoder_layers", "decoder_layers")
"""What configurations call the number of layers; those of a decoder beside an encoder come to it."""
WORTH_TELLING = 1 << 30


@dataclass(frozen=True)
class Need:
    """Bytes, by what they are for."""

    weights: int
    learning: int
    activations: int
    reading: int
    """Weights as they are read, before anything else is there; a GPU's are read elsewhere."""

    @property
    def total(self) -> int:
        """The most at a time."""
        return max(self.reading, self.weights + self.learning + self.activations)

    def __str__(self) -> str:
        parts = {"weights": self.weights, "gradients and optimizer": self.learning, "activations": self.activations}
        told = ", ".join(f"{name} {size / 2**30:.1f}" for name, size in parts.items())
        first = "to read the weights, then " if self.reading == self.total else ""
        return f"about {self.total / 2**30:.1f} GiB ({first}{told})"


def check_memory(
    spec: ModelSpec,
    task: Task,
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    rows: Rows,
    settings: Train,
) -> Need:
    """What a batch of rows takes. Raises UserError where that is more than is free."""
    bare = spec.bare(task.model_class(), task.head(labels), tokenizer)
    drawn = isinstance(task.collator(tokenizer, bare, 1), Packing)
    tokens, scored = (_together(sizes, settings.batch_size, drawn) for sizes in (rows.lengths, _scored(bare, rows)))
    need = needed(bare, tokens, scored, settings)
    free = free_memory()
    if need.total > free:
        raise UserError(
            f"this training takes {need}, {free / 2**30:.1f} GiB are free. {_advice(settings)} or a smaller model"
        )
    return need


def needed(bare: Any, tokens: int, scored: int, settings: Train) -> Need:
    """Bytes to train a model whose weights need not be there (`meta`), with `tokens` in one forward pass.

    For `scored` tokens the whole vocabulary is scored.
    """
    parameters = sum(one.numel() for one in bare.parameters())
    learning = adapters(bare, settings.lora) if settings.lora else parameters
    config = bare.config.get_text_config()
    layers = sum(getattr(config, name, 0) or 0 for name in LAYERS)
    kept = KEPT + layers * KEPT_RECOMPUTED if settings.gradient_checkpointing else layers * KEPT
    precision = resolve_precision(settings.precision)
    halved = 1 if precision == "fp32" else 2
    frozen = WEIGHT // 2 if precision == "bf16" else WEIGHT
    activations = tokens * config.hidden_size * kept // halved + scored * config.vocab_size * SCORES
    return Need(
        weights=WEIGHT * learning + (frozen * parameters if settings.lora else 0),
        learning=(GRADIENT + ADAM) * learning,
        activations=activations,
        reading=0 if torch.cuda.is_available() else WEIGHT * parameters,
    )


def _together(sizes: Sequence[int], batch: int, drawn: bool) -> int:
    """Of a batch where any rows are drawn, or else of the one with the longest: those are grouped by length."""
    if drawn:
        return round(sum(sizes) / max(1, len(sizes)) * min(batch, len(sizes)))
    return sum(sorted(sizes, reverse=True)[:batch])


def _scored(bare: Any, rows: Rows) -> list[int]:
    """Tokens of each row for which a model that writes scores the whole vocabulary."""
    if bare.get_output_embeddings() is None:
        return []
    return [sum(target != IGNORED for target in own) for own in rows.targets]


def adapters(bare: Any, lora: Lora) -> int:
    """Parameters of the adapters of every linear layer but the head."""
    head = bare.get_output_embeddings()
    layers = [one for one in bare.modules() if isinstance(one, torch.nn.Linear) and one is not head]
    if lora.targets != "all-linear":
        names = (lora.targets,) if isinstance(lora.targets, str) else lora.targets
        chosen = {id(one) for name, one in bare.named_modules() if name.rpartition(".")[2] in names}
        layers = [one for one in layers if id(one) in chosen]
    return sum(lora.rank * (one.in_features + one.out_features) for one in layers)


def free_memory() -> int:
    """Bytes that are free where the training will run."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    import psutil

    return int(psutil.virtual_memory().available)


def _advice(settings: Train) -> str:
    """What would make it smaller, the strongest first."""
    ways = [
        *([] if settings.lora else ["train.lora='{rank: 16, alpha: 32}'"]),
        *([] if settings.gradient_checkpointing else ["train.gradient_checkpointing=true"]),
        f"train.batch_size={max(1, settings.batch_size // 4)} train.accumulation={settings.accumulation * 4}",
    ]
    return f"Try {', '.join(ways)}"
