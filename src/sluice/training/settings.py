"""`Loop` and `Train`: how a model learns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sluice.part import Part
from sluice.training.precision import Precision


class Loop(Part):
    """What every optimizer loop is told; names follow transformers where it has one."""

    max_steps: int = Field(ge=1)
    """Optimizer steps, so that small data is seen more often and the time stays the same; `epochs` overrides it."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the rows, instead of a number of steps."""
    batch_size: int = Field(ge=1)
    """Rows in one forward pass, a process."""
    learning_rate: float = Field(gt=0)
    """Peak of the schedule."""
    schedule: str = "linear"
    """A `lr_scheduler_type` of transformers."""
    warmup: float = Field(0.06, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(ge=0)
    optimizer: str = "adamw_torch_fused"
    """An `optim` of transformers."""
    precision: Precision = "auto"
    """auto: bf16 where the hardware multiplies it natively, fp16 on other GPUs, else fp32."""
    evaluations: int = Field(ge=1)
    """Measurements on rows that are held out, over the whole training."""
    checkpoints: int = Field(10, ge=1)
    """Checkpoints over the whole training, beside those at measurements: what a kill loses is less than one part."""


class Lora(Part):
    """Low-rank adapters (Hu et al. 2021): what is learnt beside weights that stay, and added to them at the end."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32.0, gt=0)
    """What adapters count for: their product is multiplied by alpha over rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapters' inputs dropped."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get adapters; all-linear: every one but the head."""


class Train(Loop):
    """Fine-tuning on labelled rows."""

    max_steps: int = Field(2100, ge=1)
    batch_size: int = Field(32, ge=1)
    accumulation: int = Field(1, ge=1)
    """Forward passes added up before one optimizer step."""
    processes: int = Field(1, ge=1)
    """Processes that share each optimizer step, on one machine: one a GPU, or some on a CPU."""
    learning_rate: float = Field(7e-4, gt=0)
    weight_decay: float = Field(0.1, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: a rare label's rows count for more, so that every label has the same say."""
    token_dropout: float = Field(0.15, ge=0, lt=1)
    """Share of a training row's tokens replaced by the mask token, drawn anew each time."""
    lora: Lora | None = None
    """Train adapters only; null: all weights."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass: less memory, a third more time."""
    evaluations: int = Field(3, ge=1)
    """Validations over the whole training; the best checkpoint is kept."""
    patience: int | None = Field(None, ge=1)
    """Validations without a better figure after which training stops early; null: never."""
