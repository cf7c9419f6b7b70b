"""The training loss: cross-entropy with smoothed labels and, where asked for, a weight a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sluice.training.settings import Train


def cross_entropy(settings: Train, references: npt.NDArray[np.int64], classes: int) -> Callable[..., torch.Tensor]:
    """Trainer's `compute_loss_func`. Dividing by all items of a step makes one large batch, its parts added up and its
    parts on several processes the same loss: heads of transformers take a mean of each part instead.
    """
    weights = class_weights(references, classes) if settings.class_weights == "balanced" else None

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> torch.Tensor:
        each = torch.nn.functional.cross_entropy(
            outputs.logits.float(), labels, reduction="none", label_smoothing=settings.label_smoothing
        )
        if weights is not None:
            each = each * weights.to(each.device)[labels]
        return each.sum() / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    return loss


def class_weights(references: npt.NDArray[np.int64], classes: int) -> torch.Tensor:
    """Weights by which every label has the same sum over the training rows and the mean row has weight one."""
    counts = np.bincount(references, minlength=classes)
    return torch.from_numpy(len(references) / (classes * np.maximum(counts, 1))).float()
