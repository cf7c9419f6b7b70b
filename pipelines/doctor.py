"""What this machine has, and what of it Sluice will use."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import sys

from pipelines.entry import REFUSED, main
from sluice.config import Config
from sluice.registry.store import Store
from sluice.workspace import Workspace

LIBRARIES = ("torch", "transformers", "datasets", "mlflow", "hydra-core", "bentoml", "evaluate")
LEAST_DISK = 5 * 2**30


def command(cfg: Config) -> int:
    """`make doctor`: each line says what was found; exit code 1 when something would stop a training."""
    import torch

    from sluice.training.precision import resolve_precision

    print(f"python     {platform.python_version()} in {sys.prefix}")
    print("libraries  " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES))
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    print(f"processor  {os.cpu_count()} cores, {torch.get_num_threads()} threads, GPU {gpu}")
    print(f"precision  train.precision=auto trains in {resolve_precision('auto')} here")
    Workspace(cfg.root / "work")
    free = shutil.disk_usage(cfg.root).free
    print(f"disk       {free / 2**30:.0f} GiB free in {cfg.root.absolute()}")
    print(f"MLflow     {Store(cfg.root, cfg.tracking_uri).uri}")
    print(f"port       {cfg.serve.port} is {'taken' if _taken(cfg.serve.host, cfg.serve.port) else 'free'}")
    if free < LEAST_DISK:
        print(f"too little disk: {LEAST_DISK / 2**30:.0f} GiB are wanted")
        return REFUSED
    return 0


def _taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


if __name__ == "__main__":
    main(command)
