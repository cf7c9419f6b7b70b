"""Versions that come and go under load: `make bench-swaps`.

A service of an encoder of 6 layers (int8, as `make bench-serve` has it) answers callers who never pause, while the file
of what it serves names another version again and again. Printed: how long until all workers have it, what a swap costs
the callers in latency, the memory of all processes, and requests that were lost.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx

from serving.slot import SlotDescription, write_descriptions
from sluice.files import write_text
from sluice.inference.bundle import Bundle, bundle_digest
from tests.bench import told, whole
from tests.bench.serving.material import Material, prepare
from tests.bench.serving.usage import pss_bytes
from tests.conftest import compose_config
from tests.serving.live import Server, start

SETTLE_S = 3.0
"""After each swap: requests show what it is like without one, and the version before is freed."""


class Callers:
    """Who never pauses: when each request began, how long it took, and whether it was answered."""

    def __init__(self, server: Server, texts: list[str], count: int) -> None:
        self.answers: list[tuple[float, float, int]] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(server.url, texts[at:])) for at in range(count)]
        for thread in self._threads:
            thread.start()

    def _call(self, url: str, texts: list[str]) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._ended.is_set():
                for text in texts:
                    begun = time.monotonic()
                    answer = client.post("/v1/classify", json={"input": text}, headers={"Cache-Control": "no-cache"})
                    self.answers.append((begun, time.monotonic() - begun, answer.status_code))
                    if self._ended.is_set():
                        return

    def end(self) -> None:
        """Let them go."""
        self._ended.set()
        for thread in self._threads:
            thread.join()


def described(material: Material, version: int) -> SlotDescription:
    """The same bundle under another number: loaded anew as any other would be."""
    task, digest = Bundle.read(material.bundle).task, bundle_digest(material.bundle)
    return SlotDescription(
        name="bench", version=version, task=task, folder=material.bundle, digest=digest, data="d" * 64
    )


def swap(server: Server, path: Path, description: SlotDescription) -> float:
    """Name another version; seconds until every worker answers from it."""
    begun = time.monotonic()
    write_descriptions(path, [description])
    while not all(httpx.get(f"{server.url}/readyz").json()["models"] == [description.id] for _ in range(8)):
        time.sleep(0.02)
    return time.monotonic() - begun


def main() -> None:
    """Read the command line and print."""
    from sluice.config import to_yaml

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=whole, default=50)
    parser.add_argument("--callers", type=whole, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-swaps-") as folder:
        home = Path(folder)
        material = prepare(home / "material")
        write_text(home / "config.yaml", to_yaml(compose_config("serve/engine=int8")))
        server = start(home, described(material, 1), SLUICE_CONFIG=str(home / "config.yaml"))
        callers = Callers(server, material.texts, given.callers)
        try:
            swaps = []
            print("| swaps | seconds until all workers have it | PSS MiB |\n| --- | --- | --- |", flush=True)
            for number in range(1, given.swaps + 1):
                begun = time.monotonic()
                swaps.append((begun, swap(server, home / "slots.json", described(material, number + 1))))
                time.sleep(SETTLE_S)
                if number in (1, 2) or number % 10 == 0:
                    print(
                        f"| {number} | {swaps[-1][1]:.2f} | {pss_bytes(server.process.pid) / 2**20:.1f} |", flush=True
                    )
        finally:
            callers.end()
            server.stop()
        print("\n".join(summary(callers, swaps)))


def summary(callers: Callers, swaps: list[tuple[float, float]]) -> list[str]:
    """Requests, those that were lost, and what latency is like during swaps and between them."""
    during, between = [], []
    for begun, took, _ in callers.answers:
        inside = any(begun + took > start and begun < start + length for start, length in swaps)
        (during if inside else between).append(1000 * took)
    lost = sum(status != 200 for _, _, status in callers.answers)
    median = statistics.median(length for _, length in swaps)
    lines = [f"{len(callers.answers):,} requests, {lost} lost; a swap takes {median:.2f} s (median)"]
    for name, times in (("during swaps", during), ("between swaps", between)):
        times.sort()
        lines.append(f"{name}: p50 {times[len(times) // 2]:.1f} ms, p99 {times[int(0.99 * len(times))]:.1f} ms")
    return lines


if __name__ == "__main__":
    told(main)
