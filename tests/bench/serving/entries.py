"""Who is measured, and how each is started. Where a server can be run in several ways, all are tried: the best counts.

The choice of our engine stands here, in `OURS`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.slot import SlotDescription, write_descriptions
from sluice.config import to_yaml
from sluice.errors import UserError
from sluice.files import write_text
from sluice.inference.bundle import Bundle, bundle_digest
from tests.bench.serving.material import Material
from tests.bench.serving.peers import settings
from tests.bench.serving.server import Way
from tests.conftest import compose_config
from tests.serving.live import command, environment

OURS = ("serve/engine=int8", "serve.engine.threads=1")
"""Overrides of the configuration for our service, beside one worker a core."""
PEERS = "tests.bench.serving.peers"


@dataclass(frozen=True)
class Entry:
    """Someone who is measured."""

    name: str
    title: str
    ways: Callable[[Material, int], Sequence[Way]]
    """From what is served and the number of cores."""


def ours(material: Material, cores: int) -> list[Way]:
    """`bentoml serve` as users run it, one worker a core."""
    given = service(material.bundle, material.home("sluice"), (f"serve.workers={cores}", *OURS))
    return [Way(f"{cores} workers", command, "/v1/classify", "/readyz", _input, _first_result, given)]


def service(bundle: Path, home: Path, overrides: Sequence[str]) -> dict[str, str]:
    """The environment in which the service finds a bundle and its configuration."""
    task, digest = Bundle.read(bundle).task, bundle_digest(bundle)
    described = SlotDescription(name="bench", version=1, task=task, folder=bundle, digest=digest, data="d" * 64)
    write_descriptions(home / "slots.json", [described])
    write_text(home / "config.yaml", to_yaml(compose_config("serve.cache_answers=0", *overrides)))
    return {"SLUICE_SLOTS": str(home / "slots.json"), "SLUICE_CONFIG": str(home / "config.yaml")}


def litserve(material: Material, cores: int) -> list[Way]:
    """One at a time, with an HTTP process for each worker or one for all; and small batches."""
    return [
        _litserve("one by one", material, cores, fronts=cores),
        _litserve("one by one", material, cores, fronts=1),
        _litserve("batches of 8 within 2 ms", material, cores, fronts=1, batch=8, timeout=2),
    ]


def fastapi(material: Material, cores: int) -> list[Way]:
    """One worker a core; by a coroutine and by a function."""
    return [_uvicorn("fast_engine", material, cores, 1, f"/{route}") for route in ("inline", "threaded")]


def pipeline(material: Material, cores: int) -> list[Way]:
    """One process with all threads, which is how tutorials start it, and one worker a core."""
    return [
        _uvicorn("fast_pipeline", material, workers, threads, "/classify")
        for workers, threads in ((1, cores), (cores, 1))
    ]


def mlflow(material: Material, cores: int) -> list[Way]:
    """The same two ways."""
    home = material.home("mlflow")
    logging = [sys.executable, "-m", f"{PEERS}.mlflow_model", str(home / "mlruns"), str(material.bundle)]
    done = subprocess.run(logging, capture_output=True, text=True, env=environment(home), check=False)
    if done.returncode:
        raise UserError(f"the bundle could not be logged for mlflow:\n{done.stderr[-2000:]}")
    model = done.stdout.splitlines()[-1]

    def started(workers: int, threads: int) -> Way:
        # It finds uvicorn by the path.
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        return Way(
            _crew(workers, threads),
            lambda port: [
                sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local",
                "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers),
            ],
            "/invocations", "/ping", lambda text: {"dataframe_split": {"columns": ["text"], "data": [[text]]}},
            lambda answer: answer["predictions"][0]["label"],
            {"PATH": path, "OMP_NUM_THREADS": str(threads), "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip

    return [started(1, cores), started(cores, 1)]


def bento_torch(material: Material, cores: int) -> list[Way]:
    """As it is by default, by process or by thread, and with the batches held small."""
    return [
        _bento("OnTorch", material, workers, threads, batch)
        for workers, threads, batch in ((1, cores, 100), (cores, 1, 100), (cores, 1, 8))
    ]


def bento_engine(material: Material, cores: int) -> list[Way]:
    """As it is by default, and with the batches held small."""
    return [_bento("OnEngine", material, cores, 1, batch) for batch in (100, 8)]


ENTRIES = (
    Entry("litserve", "LitServe, same engine", litserve),
    Entry("fastapi", "FastAPI, same engine", fastapi),
    Entry("pipeline", "FastAPI + pipeline, torch", pipeline),
    Entry("mlflow", "mlflow models serve, torch", mlflow),
    Entry("bento-torch", "BentoML batchable, torch", bento_torch),
    Entry("bento-engine", "BentoML batchable, same engine", bento_engine),
)


def _litserve(told: str, material: Material, workers: int, fronts: int, batch: int = 1, timeout: int = 0) -> Way:
    return Way(
        f"{workers} workers behind {fronts}, {told}",
        lambda port: [sys.executable, "-m", f"{PEERS}.lit", str(port), str(fronts)],
        "/predict",
        "/health",
        _input,
        _label,
        _told(material, workers, batch=batch, timeout=timeout),
    )


def _uvicorn(module: str, material: Material, workers: int, threads: int, path: str) -> Way:
    return Way(
        f"{_crew(workers, threads)}, {path}",
        lambda port: [
            sys.executable, "-m", "uvicorn", f"{PEERS}.{module}:app", "--port", str(port), "--workers", str(workers),
            "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
        ],
        path, "/ready", _input, _label, _told(material, workers, threads=threads),
    )  # fmt: skip


def _bento(name: str, material: Material, workers: int, threads: int, batch: int) -> Way:
    return Way(
        f"{_crew(workers, threads)}, batches of at most {batch}",
        lambda port: [sys.executable, "-m", "bentoml", "serve", f"{PEERS}.bento:{name}", "--port", str(port)],
        "/classify", "/readyz", lambda text: {"texts": [text]}, lambda answer: answer[0]["label"],
        _told(material, workers, threads=threads, batch=batch),
    )  # fmt: skip


def _crew(workers: int, threads: int) -> str:
    return f"{workers} x {threads} {'thread' if threads == 1 else 'threads'}"


def _told(material: Material, workers: int, threads: int = 1, batch: int = 1, timeout: int = 0) -> Mapping[str, str]:
    return {
        settings.BUNDLE: str(material.bundle),
        settings.WORKERS: str(workers),
        settings.THREADS: str(threads),
        settings.BATCH: str(batch),
        settings.TIMEOUT: str(timeout),
        "OMP_NUM_THREADS": str(threads),
    }


def _input(text: str) -> Any:
    return {"input": text}


def _first_result(answer: Any) -> str:
    label: str = answer["results"][0]["label"]
    return label


def _label(answer: Any) -> str:
    label: str = answer["label"]
    return label
