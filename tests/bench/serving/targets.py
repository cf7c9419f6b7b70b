"""What is wanted of the service beside each of the others."""

from __future__ import annotations

from tests.bench.serving.figures import Figures
from tests.bench.serving.report import Target, over, rates, share_of_engine

SLUICE, AGAIN, ENGINE = "sluice", "sluice again", "engine"


def _beyond(ours: Figures, engine: Figures) -> float:
    return ours.cpu_ms - engine.cpu_ms


def _beyond_as_well(ours: Figures, other: Figures, engine: Figures) -> float:
    return over(_beyond(ours, engine), _beyond(other, engine))


def _slowest(ours: Figures, other: Figures) -> float:
    return (other.p99_ms or 0) / ours.p99_ms if ours.p99_ms else 0


def _first(ours: Figures, other: Figures) -> float:
    return (other.p50_ms or 0) / ours.p50_ms if ours.p50_ms else 0


def _times(title: str, name: str, wanted: float, *clients: int, sign: str = ">=") -> Target:
    """So many times the requests a second; at all numbers of clients where none are named."""
    return Target(f"requests/s over {title}", (SLUICE, name), clients or None, sign, wanted, rates)


CONTROL = Target("ours a second over ours (control)", (AGAIN, SLUICE), None, "~", 1, rates)
CLASSIFY = (
    CONTROL,
    Target("CPU-ms/request beyond the bare engine", (SLUICE, ENGINE), None, "<=", 0.6, _beyond),
    Target(
        "texts/s over the bare engine, load's CPU set apart", (SLUICE, ENGINE), (32, 64), ">=", 0.75, share_of_engine
    ),
    Target("CPU beyond the engine over LitServe's", (SLUICE, "litserve", ENGINE), None, "<=", 0.5, _beyond_as_well),
    _times("LitServe", "litserve", 2, 1),
    _times("LitServe", "litserve", 1.3, 8, 32, 64),
    Target("LitServe's p99 over ours", (SLUICE, "litserve"), None, ">=", 1, _slowest),
    _times("FastAPI, same engine", "fastapi", 1, 1),
    _times("FastAPI, same engine", "fastapi", 1, 8, 32, 64, sign=">"),
    _times("FastAPI + pipeline", "pipeline", 2, 1),
    _times("FastAPI + pipeline", "pipeline", 4, 32),
    _times("mlflow models serve", "mlflow", 4),
    _times("BentoML batchable, torch", "bento-torch", 3),
    _times("BentoML batchable, same engine", "bento-engine", 1.3),
)
CHAT = (
    CONTROL,
    Target("tokens/s over transformers serve", (SLUICE, "transformers"), (8,), ">=", 1.5, rates),
    Target("transformers serve's first token over ours", (SLUICE, "transformers"), None, ">=", 1, _first),
)
