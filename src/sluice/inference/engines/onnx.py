"""onnxruntime on the CPU, from what `forms=onnx` left in the bundle: float32, or int8. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel

from sluice.errors import UserError
from sluice.inference.engine import Engine, Forward
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FILES = {"float32": "model.onnx", "int8": "model.int8.onnx"}
"""The file of a bundle that holds the model in a precision."""
PADDING = "pad_token_id"
"""Name under which such a file says which token fills up the shorter inputs of a batch."""


class OnnxEngine(Engine):
    """onnxruntime on the CPU."""

    kind: ClassVar[str] = "onnx"

    precision: Literal["float32", "int8"] = "float32"
    """float32 answers as PyTorch does; int8 as nearly as the bounds of `forms` asked for, and faster."""

    @property
    def name(self) -> str:
        """With its precision."""
        return f"{self.kind} {self.precision}"

    @property
    def together(self) -> int | None:
        """One in int8, see `load`."""
        return 1 if self.precision == "int8" else None

    def load(self, folder: Path, task: Task) -> Forward:
        """Open the file and return the forward pass. Raises UserError for a bundle without it.

        In int8 each input is run by itself, at its own length: activations are scaled by the largest one of all that
        runs together, so that an answer would otherwise depend on padding and on whose texts share the batch.
        """
        path = folder / FILES[self.precision]
        if not path.exists():
            told = f"{folder} has no {path.name}: that form was not made, or its answers were out of bounds."
            raise UserError(f'{told} Make it: make train ARGS="forms=onnx", or do without it: serve/engine=torch')
        session = self._session(path)
        padding = int(session.get_modelmeta().custom_metadata_map[PADDING])

        def run(batch: Sequence[Sequence[int]]) -> npt.NDArray[Any]:
            return session.run(None, padded(batch, padding))[0]

        def together(batch: Sequence[Sequence[int]], options: BaseModel) -> npt.NDArray[Any]:
            return run(batch)

        def alone(batch: Sequence[Sequence[int]], options: BaseModel) -> npt.NDArray[Any]:
            return _stacked([run([ids])[0] for ids in batch])

        return alone if self.together == 1 else together

    def _session(self, path: Path) -> Any:
        import onnxruntime

        chosen = onnxruntime.SessionOptions()
        chosen.intra_op_num_threads = self.threads or 0
        chosen.inter_op_num_threads = 1
        # Threads that spin between operations would take the cores from other workers.
        chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
        chosen.log_severity_level = 3  # errors: the rest is about the graph, which nobody who serves it can change
        return onnxruntime.InferenceSession(str(path), chosen, providers=["CPUExecutionProvider"])


def padded(batch: Sequence[Sequence[int]], padding: int) -> dict[str, npt.NDArray[np.int64]]:
    """The graph's inputs: token ids and which of them count, shape (batch, longest input), filled up on the right."""
    import numpy as np

    ids = np.full((len(batch), max(map(len, batch))), padding, np.int64)
    mask = np.zeros_like(ids)
    for row, one in enumerate(batch):
        ids[row, : len(one)] = one
        mask[row, : len(one)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def _stacked(rows: Sequence[npt.NDArray[np.floating]]) -> npt.NDArray[np.floating]:
    """Outputs of single inputs as one array, with zeros where others are longer."""
    import numpy as np

    shape = np.max([row.shape for row in rows], axis=0)
    found = np.zeros((len(rows), *shape), rows[0].dtype)
    for place, row in zip(found, rows, strict=True):
        place[tuple(map(slice, row.shape))] = row
    return found
