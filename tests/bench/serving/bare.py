"""The engine alone, as one process a core, measured like a server: what no server on this machine can exceed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.bench.serving.figures import Figures
from tests.bench.serving.processes import Child
from tests.bench.serving.usage import cpu_seconds, pss_bytes
from tests.serving.live import environment


class Bare:
    """Processes that work when told to."""

    def __init__(self, batch: int, home: Path, bundle: Path, texts: Path, processes: int) -> None:
        self.settings = f"batches of {batch}" + (", sorted by length" if batch > 1 else "")
        self.resting = 0.0
        self._batch = batch
        command = [sys.executable, "-m", "tests.bench.serving.peers.bare", str(bundle), str(texts)]
        homes = [home / str(number) for number in range(processes)]
        self._children = [Child(command, one, environment(one), piped=True) for one in homes]
        try:
            for child in self._children:
                child.read()
        except BaseException:
            self.stop()
            raise

    def measure(self, clients: int, seconds: int, start: int) -> Figures:
        """Let all of them work at once. Nobody waits in line: `clients` says nothing here."""
        for number, child in enumerate(self._children):
            child.write(json.dumps({"batch": self._batch, "seconds": seconds, "start": start + 500 * number}))
        found = [json.loads(child.read()) for child in self._children]
        return Figures(
            count=sum(one["texts"] for one in found),
            seconds=max(one["seconds"] for one in found),
            cpu_s=sum(one["cpu_s"] for one in found),
            pss_bytes=sum(pss_bytes(child.id) for child in self._children),
        )

    def cpu_seconds(self) -> float:
        """What they have used so far."""
        return sum(cpu_seconds(child.id) for child in self._children)

    def pause(self) -> None:
        """Give them no time."""
        for child in self._children:
            child.pause()

    def resume(self) -> None:
        """Let them go on."""
        for child in self._children:
            child.resume()

    def stop(self) -> None:
        """End them."""
        for child in self._children:
            child.stop()
