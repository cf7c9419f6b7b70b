"""OpenVINO on the CPU, from the graph in 8-bit integers that `forms` left in the bundle. Needs the extra `openvino`."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from sluice.errors import UserError
from sluice.inference.engine import Engine, Forward
from sluice.inference.engines.onnx import padded
from sluice.inference.processor import computes_bfloat16
from sluice.tasks.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt

FILE = "openvino.xml"
"""The graph; the weights lie beside it, as `.bin`."""
PADDING = "pad_token_id"
"""Under `rt_info`, which token fills up the shorter inputs of a batch."""
REST = "rest"
"""Under `rt_info`, what is computed in beside int8: `bf16` where it was made on a processor that has it, else `f32`."""
EXTRA = "pip install 'sluice[openvino]'"


class OpenvinoEngine(Engine):
    """OpenVINO on the CPU, in int8 with activations scaled by what training rows showed."""

    kind: ClassVar[str] = "openvino"

    @property
    def name(self) -> str:
        """With its precision."""
        return f"{self.kind} int8"

    def missing(self) -> str | None:
        """That the library is not there."""
        return None if importlib.util.find_spec("openvino") else f"openvino is not installed: {EXTRA}"

    def load(self, folder: Path, task: Task) -> Forward:
        """Compile the graph and return the forward pass. Raises UserError for a bundle, or a machine, without it."""
        path = folder / FILE
        if not path.exists():
            told = f"{folder} has no {path.name}: that form was not made, or its answers were out of bounds."
            raise UserError(f"{told} Make it: make compress, or do without it: serve/engine=torch")
        if reason := self.missing():
            raise UserError(f"{reason}, or do without it: serve/engine=torch")
        request, padding = _compiled(path, self.threads)

        def forward(batch: Sequence[Sequence[int]], options: BaseModel) -> npt.NDArray[Any]:
            found: npt.NDArray[Any] = request.infer(padded(batch, padding), share_inputs=True)[0]
            return found.copy()  # the next pass writes into the same memory

        return forward


def silence() -> None:
    """Before openvino is imported: without the package that reports each import to its makers, it reports nothing."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def _compiled(path: Path, threads: int | None) -> tuple[Any, int]:
    silence()
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    # Left to itself OpenVINO would take bfloat16 wherever the processor can: less precise than was measured.
    rest = model.get_rt_info(REST).value if computes_bfloat16() else "f32"
    chosen = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": rest}
    if threads:
        chosen["INFERENCE_NUM_THREADS"] = str(threads)
    padding = int(model.get_rt_info(PADDING).value)
    return core.compile_model(model, "CPU", chosen).create_infer_request(), padding
