"""`Engine`: how outputs are computed. The torch engine is the reference that others are compared with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from sluice.part import Part
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt

Forward = Callable[[Sequence[Sequence[int]], BaseModel], "npt.NDArray[Any]"]
"""Token ids of a batch of inputs, and the task's options -> the task's raw outputs, a row an input."""


class Engine(Part, ABC):
    """A way to run a bundle's model."""

    @abstractmethod
    def load(self, folder: Path, task: Task) -> Forward:
        """Load the model once and return its forward pass."""


class TorchEngine(Engine):
    """PyTorch on the CPU or one GPU."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of weights and activations."""
    threads: int | None = Field(None, ge=1)
    """Threads within one operation; none leaves PyTorch's choice, one a core."""

    def load(self, folder: Path, task: Task) -> Forward:
        """Load the safetensors weights and return the forward pass."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        if self.threads:
            torch.set_num_threads(self.threads)
        model = task.model_class().from_pretrained(folder.absolute(), dtype=getattr(torch, self.dtype))
        model.eval().to(device)
        padding = model.config.pad_token_id or 0

        def filled(row: Sequence[int], more: Sequence[int]) -> list[int]:
            return [*more, *row] if task.padding == "left" else [*row, *more]

        def forward(batch: Sequence[Sequence[int]], options: BaseModel) -> npt.NDArray[Any]:
            width = max(map(len, batch))
            empty = [width - len(row) for row in batch]
            ids = torch.tensor([filled(row, [padding] * more) for row, more in zip(batch, empty, strict=True)])
            mask = torch.tensor([filled([1] * len(row), [0] * more) for row, more in zip(batch, empty, strict=True)])
            with torch.inference_mode():
                outputs = task.forward(model, {"input_ids": ids.to(device), "attention_mask": mask.to(device)}, options)
            return (outputs.float() if outputs.is_floating_point() else outputs).cpu().numpy()

        return forward
