"""Trainer's checkpoints: which of them a killed run can go on from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

NEEDED = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def newest_complete(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`; those that a kill left half written are deleted.

    Trainer writes a checkpoint in place, its `trainer_state.json` before the random state: all must be there.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for checkpoint in found:
        if _is_complete(checkpoint):
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return False
    return all((checkpoint / name).exists() for name in NEEDED)
