"""Whether the service holds more and more: its memory over 20,000 requests."""

from __future__ import annotations

from typing import Any

from tests.bench.serving.entries import ours
from tests.bench.serving.material import Material
from tests.bench.serving.server import Classifier
from tests.bench.serving.usage import CORES

REQUESTS, STEP = 20_000, 2_000
CLIENTS, SECONDS = 32, 1


def watch(material: Material) -> list[dict[str, Any]]:
    """Print the memory of all its processes (PSS) before, after, and every 2,000 requests."""
    (way,) = ours(material, CORES)
    server = Classifier(way, material.home("memory"), material.texts, material.labels)
    print("| requests | PSS MiB | more than before | errors |\n| --- | --- | --- | --- |")
    try:
        rows = [_row(0, server.pss_bytes(), 0)]
        done = errors = 0
        while done < REQUESTS:
            found = server.measure(CLIENTS, SECONDS, done)
            errors += found.errors
            done += found.count + found.errors
            if done >= len(rows) * STEP:
                rows.append(_row(done, found.pss_bytes, errors, rows[0]["pss_bytes"]))
    finally:
        server.stop()
    return rows


def _row(done: int, held: int, errors: int, first: int | None = None) -> dict[str, Any]:
    more = (held - (first or held)) / 2**20
    print(f"| {done:,} | {held / 2**20:,.1f} | {more:+,.1f} | {errors} |", flush=True)
    return {"requests": done, "pss_bytes": held, "errors": errors}
