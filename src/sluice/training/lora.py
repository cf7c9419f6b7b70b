"""Adapters beside weights that stay as they are, by the peft library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sluice.errors import UserError
from sluice.training.precision import Precision, resolve_precision
from sluice.training.settings import Lora

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def adapted(model: PreTrainedModel, settings: Lora) -> Any:
    """The model with adapters, which alone learn, beside a head that is new; merge them when all is learnt."""
    from peft import LoraConfig, get_peft_model

    targets = settings.targets if isinstance(settings.targets, str) else list(settings.targets)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets,
        modules_to_save=_heads(model),
    )
    try:
        found = get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"train.lora.targets={targets}: {str(error).splitlines()[0]}") from error
    found.enable_input_require_grads()  # gradient checkpointing would otherwise see no input that learns
    return found


def narrow(model: PreTrainedModel, precision: Precision) -> None:
    """What does not learn, in bf16 where it is multiplied in bf16: half the memory, and no copy of it at each step."""
    import torch

    if resolve_precision(precision) == "bf16":
        for one in model.parameters():
            if not one.requires_grad:
                one.data = one.data.to(torch.bfloat16)


def merged(model: Any) -> PreTrainedModel:
    """The model without adapters, which were added to its weights: in float32, in memory that holds it."""
    return model.cpu().float().merge_and_unload()


def _heads(model: PreTrainedModel) -> list[str] | None:
    """What classifies: drawn anew for each set of labels, so that adapters would be beside noise."""
    found = [name for name in ("classifier", "score", "head") if hasattr(model, name)]
    return found or None
