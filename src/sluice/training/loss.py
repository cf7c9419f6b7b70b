"""The training loss: cross-entropy with smoothed labels and, where asked for, a weight a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sluice.tasks.task import IGNORED, Targets
from sluice.training.settings import Train


def cross_entropy(settings: Train, targets: Targets, classes: int) -> Callable[..., torch.Tensor]:
    """Trainer's `compute_loss_func`. Dividing by all items of a step makes one large batch, its parts added up and its
    parts on several processes the same loss: heads of transformers take a mean of each part instead.

    An item is a row, or a token that has a target; `targets` are those of the training rows.
    """
    weights = class_weights(targets, classes) if settings.class_weights == "balanced" else None

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        labels = labels.flatten()
        scores = outputs.logits.flatten(0, -2).float()
        each = torch.nn.functional.cross_entropy(
            scores, labels, reduction="none", ignore_index=IGNORED, label_smoothing=settings.label_smoothing
        )
        if weights is not None:
            each = each * weights.to(each.device)[labels.clamp(min=0)]
        return each.sum() / ((labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)

    return loss


def class_weights(targets: Targets, classes: int) -> torch.Tensor:
    """Weights by which every label has the same sum over all items and the mean item has weight one."""
    items = np.concatenate([np.atleast_1d(one) for one in targets])
    items = items[items != IGNORED]
    counts = np.bincount(items, minlength=classes)
    return torch.from_numpy(len(items) / (classes * np.maximum(counts, 1))).float()
