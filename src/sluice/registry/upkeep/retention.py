"""What may be removed, by which rule: settings, and the items that a clean-up is made of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from sluice.part import Part

GONE = ".gone-"
"""A folder is renamed to this before its files go: nothing half removed is ever taken for whole."""
RECENT_SECONDS = 3600
"""What was touched within the last hour stays, whatever the settings say: somebody may be at it."""
DAY = 86_400


class Retention(Part):
    """What `make gc` keeps."""

    keep_versions: int = Field(5, ge=0)
    """Newest versions of each model that stay, beside those that an alias, a decision or a receipt names."""
    keep_days: float = Field(30, ge=0)
    """Days since their last use that finished stage folders, deleted runs and Hydra's records stay."""
    leftover_days: float = Field(7, ge=0)
    """Days since its last sign of life that what a killed command left stays: it could go on from there."""


@dataclass(frozen=True)
class Item:
    """Something that may go."""

    kind: str
    what: str
    size: int
    """Bytes on disk."""
    why: str
    remove: Callable[[], bool]
    """Removes it and says whether it did: what is in use by then stays."""


def discard(path: Path) -> None:
    """Remove a folder or file, out of sight in one step first."""
    if not path.exists():
        return
    gone = path if path.name.startswith(GONE) else path.with_name(f"{GONE}{path.name}-{os.getpid()}")
    if gone != path:
        path.rename(gone)
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()


def size(path: Path) -> int:
    """Bytes that a folder or file takes; a file with several names counts by its share."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    stats = [file.lstat() for file in files]
    return sum(stat.st_size // max(1, stat.st_nlink) for stat in stats)


def last_touched(path: Path) -> float:
    """When anything in a folder was last written (seconds since 1970)."""
    times = [path.lstat().st_mtime]
    for folder, _, names in os.walk(path):
        times += [Path(folder, name).lstat().st_mtime for name in names]
    return max(times)
