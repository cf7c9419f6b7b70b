"""Which code made a model."""

from __future__ import annotations

import subprocess
from pathlib import Path


def state(folder: Path) -> str:
    """Commit of the repository around `folder`, `+dirty` where files differ from it, `none` without one."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return f"{commit}+dirty" if _git(folder, "status", "--porcelain") else commit
    except (OSError, subprocess.SubprocessError):
        return "none"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()
