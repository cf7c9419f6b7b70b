"""A server under load: how one is started, asked, measured and ended."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluice.errors import UserError
from tests.bench.serving.figures import Figures
from tests.bench.serving.load import write_script, wrk
from tests.bench.serving.processes import Child
from tests.bench.serving.usage import cpu_seconds, pss_bytes
from tests.serving.live import environment, free_port

START_S = 120
AGREEMENT = 0.8
"""Share of labels that must be those of the float32 model: quantized weights change a few."""
SETTLED_S = 5
CHECKED = 30
"""Texts whose labels are compared."""


@dataclass(frozen=True)
class Way:
    """One way to run a server."""

    settings: str
    """What is particular about it, in a few words."""
    command: Callable[[int], Sequence[str]]
    """From the port."""
    path: str
    """Where it is asked."""
    ready: str
    """Where it says by status 200 that it is ready."""
    body: Callable[[str], Any]
    """The JSON that asks about a text."""
    read: Callable[[Any], str]
    """The answer in the JSON that comes back."""
    environment: Mapping[str, str] = field(default_factory=dict)


class Server:
    """A started server."""

    def __init__(self, way: Way, home: Path) -> None:
        self.settings = way.settings
        self.resting = 0.0
        self.way = way
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.child = Child(way.command(port), home, environment(home, **way.environment))
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def cpu_seconds(self) -> float:
        """What it has used so far."""
        return cpu_seconds(self.child.id)

    def pss_bytes(self) -> int:
        """What it holds now."""
        return pss_bytes(self.child.id)

    def pause(self) -> None:
        """Give it no time."""
        self.child.pause()

    def resume(self) -> None:
        """Let it go on."""
        self.child.resume()

    def stop(self) -> None:
        """End it."""
        self.child.stop()

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.child.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + self.way.ready, timeout=START_S):
                    return
            except OSError:
                time.sleep(0.2)
        log = self.child.log
        raise UserError(f"{log.parent.name} did not start. The end of {log}:\n{log.read_text()[-2000:]}")


class Classifier(Server):
    """A server that labels texts."""

    def __init__(self, way: Way, home: Path, texts: Sequence[str], labels: Sequence[str]) -> None:
        super().__init__(way, home)
        try:
            self._check(texts[:CHECKED], labels[:CHECKED])
            self.child.settle(self.resting, SETTLED_S)
        except BaseException:
            self.stop()
            raise
        self._script = write_script(home / "load.lua", texts, way.body)

    def measure(self, clients: int, seconds: int, start: int) -> Figures:
        """Ask from so many connections, each one request after the other; `start` says with which text to begin."""
        before = self.cpu_seconds()
        found = wrk(self.url + self.way.path, self._script, clients, seconds, start)
        used, memory = self.cpu_seconds() - before, self.pss_bytes()
        self.child.settle(self.resting)
        return Figures(
            count=found["requests"] - found["refused"], seconds=found["seconds"], cpu_s=used, pss_bytes=memory,
            p50_ms=found["p50_ms"], p99_ms=found["p99_ms"], errors=found["refused"] + found["broken"],
            load_cpu_s=found["load_cpu_s"],
        )  # fmt: skip

    def _check(self, texts: Sequence[str], labels: Sequence[str]) -> None:
        """Whoever is fast must be right as well."""
        same = sum(self._ask(text) == label for text, label in zip(texts, labels, strict=True))
        if same < AGREEMENT * len(texts):
            name = self.child.log.parent.name
            raise UserError(f"{name} answers {same} of {len(texts)} texts as the model does: it serves another one")

    def _ask(self, text: str) -> str:
        body = json.dumps(self.way.body(text)).encode()
        request = urllib.request.Request(self.url + self.way.path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=START_S) as answer:
                return self.way.read(json.load(answer))
        except urllib.error.HTTPError as error:
            raise UserError(f"{request.full_url} answers {error.code}: {error.read().decode()[:500]}") from error
