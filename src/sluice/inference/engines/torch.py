"""PyTorch on the CPU or one GPU: the reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel

from sluice.inference.engine import Engine, Forward
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt


BFLOAT16_FILE = "model.bf16.safetensors"
"""Weights of half the size, in a bundle that has them."""


class TorchEngine(Engine):
    """PyTorch on the CPU or one GPU."""

    kind: ClassVar[str] = "torch"

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of weights and activations."""

    @property
    def name(self) -> str:
        """With its precision."""
        return f"{self.kind} {self.dtype}"

    def model(self, folder: Path, task: Task) -> Any:
        """The model with its weights, on its device, ready to answer."""
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)
        half = self.dtype == "bfloat16" and (folder / BFLOAT16_FILE).exists()
        chosen = {"dtype": getattr(torch, self.dtype), "variant": "bf16" if half else None}
        model = task.model_class().from_pretrained(folder.absolute(), **chosen)
        return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def load(self, folder: Path, task: Task) -> Forward:
        """Load the safetensors weights and return the forward pass."""
        import torch

        model = self.model(folder, task)
        padding = model.config.pad_token_id or 0

        def filled(row: Sequence[int], more: Sequence[int]) -> list[int]:
            return [*more, *row] if task.padding == "left" else [*row, *more]

        def forward(batch: Sequence[Sequence[int]], options: BaseModel) -> npt.NDArray[Any]:
            width = max(map(len, batch))
            empty = [width - len(row) for row in batch]
            ids = torch.tensor([filled(row, [padding] * more) for row, more in zip(batch, empty, strict=True)])
            mask = torch.tensor([filled([1] * len(row), [0] * more) for row, more in zip(batch, empty, strict=True)])
            inputs = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
            with torch.inference_mode():
                outputs = task.forward(model, inputs, options)
            return (outputs.float() if outputs.is_floating_point() else outputs).cpu().numpy()

        return forward


def reference(engine: Engine) -> TorchEngine:
    """What measures a model before it has other forms: the engine itself, or PyTorch in its place."""
    return engine if isinstance(engine, TorchEngine) else TorchEngine(threads=engine.threads)
