"""The engine that a bundle is fastest with on this machine, among those that were found to answer alike."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from sluice.inference.bundle import Bundle
from sluice.inference.engine import Engine, Forward, Writer, gpus
from sluice.inference.engines.continuous import ContinuousEngine
from sluice.inference.engines.onnx import OnnxEngine
from sluice.inference.engines.torch import TorchEngine
from sluice.tasks.task import Task


class FastestEngine(Engine):
    """Leaves the choice to the bundle.

    Decoders are written with continuously. On a CPU, what has other forms is run in that which was measured to be the
    fastest; `forms` keeps none that answers otherwise. All else is run by PyTorch.
    """

    kind: ClassVar[str] = "fastest"

    def chosen(self, folder: Path, task: Task) -> Engine:
        """The engine for this bundle on this machine."""
        if task.architecture == "decoder":
            return ContinuousEngine(threads=self.threads)
        speeds = {name: form.speed.value for name, form in Bundle.read(folder).forms.items() if form.speed.value > 1}
        if not speeds or gpus():
            return TorchEngine(threads=self.threads)
        best = max(speeds, key=lambda name: speeds[name])
        return OnnxEngine(precision="int8" if best == "int8" else "float32", threads=self.threads)

    def load(self, folder: Path, task: Task) -> Forward:
        """What the chosen engine loads."""
        return self.chosen(folder, task).load(folder, task)

    def writer(self, folder: Path, task: Task) -> Writer | None:
        """What the chosen engine writes with."""
        return self.chosen(folder, task).writer(folder, task)
