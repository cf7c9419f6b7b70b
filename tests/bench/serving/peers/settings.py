"""What a server is told by whoever starts it: the environment, which reaches the workers of every framework."""

from __future__ import annotations

import os
from pathlib import Path

BUNDLE, WORKERS, THREADS, BATCH, TIMEOUT = (
    "BENCH_BUNDLE",
    "BENCH_WORKERS",
    "BENCH_THREADS",
    "BENCH_BATCH",
    "BENCH_TIMEOUT",
)


def bundle() -> Path:
    """The folder of the model."""
    return Path(os.environ[BUNDLE])


def number(name: str) -> int:
    """A setting that is a whole number."""
    return int(os.environ[name])
