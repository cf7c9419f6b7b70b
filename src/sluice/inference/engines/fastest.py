"""The engine that a bundle is fastest with on this machine, among those that were found to answer alike."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

from sluice.inference.bundle import Bundle
from sluice.inference.engine import Engine, Forward, Writer, gpus
from sluice.inference.engines.continuous import ContinuousEngine
from sluice.inference.engines.formed import engine_of, unfit
from sluice.inference.engines.torch import TorchEngine
from sluice.tasks.task import Task

log = logging.getLogger("sluice")


class FastestEngine(Engine):
    """Leaves the choice to the bundle.

    On a CPU, what has other forms is run in that which was measured to be the fastest; `forms` keeps none that answers
    otherwise. All else is run by PyTorch, decoders continuously.
    """

    kind: ClassVar[str] = "fastest"

    def chosen(self, folder: Path, task: Task) -> Engine:
        """The engine for this bundle on this machine."""
        forms = {name: form.speed.value for name, form in Bundle.read(folder).forms.items() if form.speed.value > 1}
        for name in sorted(forms, key=lambda name: -forms[name]) if not gpus() else ():
            reason = unfit(name)
            if reason is None:
                return engine_of(name, self.threads)
            log.warning("%s is not served as %s: %s", folder.name, name, reason)
        decoder = task.architecture == "decoder"
        return ContinuousEngine(threads=self.threads) if decoder else TorchEngine(threads=self.threads)

    def load(self, folder: Path, task: Task) -> Forward:
        """What the chosen engine loads."""
        return self.chosen(folder, task).load(folder, task)

    def writer(self, folder: Path, task: Task) -> Writer | None:
        """What the chosen engine writes with."""
        return self.chosen(folder, task).writer(folder, task)
