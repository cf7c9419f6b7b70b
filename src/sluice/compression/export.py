"""A bundle's model as an ONNX graph: what the task reads of it, computed by the same operations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sluice.compression.quiet import quiet
from sluice.errors import UserError
from sluice.inference.bundle import Bundle, weights_size
from sluice.inference.engines.onnx import FILES, PADDING, OnnxEngine
from sluice.inference.engines.torch import TorchEngine
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LARGEST = 2 * 2**30
"""Bytes of weights that one ONNX file can hold: it is one protobuf message."""
OPSET = 23
"""The first version of ONNX with attention and rotary positions as operations: half the nodes, 15 % less time."""
TOLERANCE = 1e-4
"""Largest difference from PyTorch's outputs, as a share of the largest output."""
SMALLEST = 1e-30
"""What outputs that are all zero are divided by."""
LONGEST = 512
"""Tokens of the longest input that is checked: longer than any window of attention, and no strain on memory."""
INSTEAD = "forms=none does without it"


def obstacle(bundle: Path) -> str | None:
    """Why there is no ONNX form of this bundle's model, in one line; None where there can be one."""
    task = Bundle.read(bundle).resolve_task()
    if task.writes:
        return f"task={task.name} writes token by token, which is no single pass through a graph"
    weights = weights_size(bundle)
    if weights >= LARGEST:
        return f"the weights take {weights / 2**30:.1f} GB, and one ONNX file holds 2 GB"
    return None


def export(bundle: Path) -> Path:
    """Write the float32 graph into the bundle and hold it against PyTorch. Returns its path.

    Inputs are `input_ids` and `attention_mask`, int64, shape (batch, tokens); the one output is what `Task.forward`
    gives. Raises UserError for a model that cannot be exported, or that computes something else afterwards.
    """
    task, path = Bundle.read(bundle).resolve_task(), bundle / FILES["float32"]
    model = TorchEngine().model(bundle, task).cpu()
    program = _exported(model, task)
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where in this machine's files each operation comes from
    program.model.metadata_props[PADDING] = str(model.config.pad_token_id or 0)
    program.save(path, external_data=False)
    _check(bundle, task, model.config.vocab_size)
    return path


def _exported(model: Any, task: Task) -> Any:
    import torch

    ids = torch.ones(2, 8, dtype=torch.long)
    example = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    with quiet():
        try:
            return torch.onnx.export(
                _graph(model, task), (), kwargs=example, input_names=list(example), output_names=["outputs"],
                dynamo=True, dynamic_shapes=dict.fromkeys(example, free), verbose=False, opset_version=OPSET,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"{type(model).__name__} cannot be exported to ONNX: {reason}. {INSTEAD}") from error


def _graph(model: Any, task: Task) -> Any:
    import torch

    rotary = any("rotary" in name for name, _ in model.named_modules())

    class Graph(torch.nn.Module):
        """The task's forward pass with its default options."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            batch = {"input_ids": input_ids, "attention_mask": attention_mask}
            if rotary:  # onnxruntime rotates a batch by as many rows of angles, and the model would make one for all
                places = torch.arange(input_ids.shape[1], device=input_ids.device)
                batch["position_ids"] = places.expand(input_ids.shape)
            return task.forward(self.model, batch, task.Options())

    return Graph().eval()


def _check(bundle: Path, task: Task, vocabulary: int) -> None:
    """Compare both engines on random tokens: inputs of one token and of many, alone and padded to their neighbours'."""
    import numpy as np

    plain, exported = TorchEngine().load(bundle, task), OnnxEngine().load(bundle, task)
    rng, longest, options = np.random.default_rng(0), _longest(bundle, task), task.Options()
    for lengths in ((1,), (longest,), (2, longest), (3, longest // 2, 1)):
        batch = [rng.integers(0, vocabulary, length).tolist() for length in lengths]
        off = _distance(exported(batch, options), plain(batch, options), lengths)
        if not off <= TOLERANCE:
            told = f"the ONNX graph does not compute what the model does: outputs are {off:.2g} of the largest apart"
            raise UserError(f"{told}, expected at most {TOLERANCE:g}. {INSTEAD}")


def _longest(bundle: Path, task: Task) -> int:
    """Tokens of the longest input that is worth a check."""
    from transformers import AutoTokenizer

    return min(task.max_length, AutoTokenizer.from_pretrained(bundle.absolute()).model_max_length, LONGEST)


def _distance(ours: npt.NDArray[np.floating], theirs: npt.NDArray[np.floating], lengths: Sequence[int]) -> float:
    """Largest difference as a share of the largest output; outputs of tokens that only fill up are nobody's."""
    import numpy as np

    if theirs.ndim == 3:
        real = np.arange(theirs.shape[1]) < np.array(lengths)[:, None]
        ours, theirs = ours[real], theirs[real]
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), SMALLEST))
