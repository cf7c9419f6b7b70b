"""The indexes in the workspace: which one answers for a model, and which one a new build starts from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sluice.files import link_tree, write_json
from sluice.search.store import NAME
from sluice.workspace import MANIFEST, in_use

STAGE = "index"
ORIGIN = "origin.json"
"""File in an index's folder: what made its vectors, and which settings it goes by."""
TABLE = f"{NAME}.lance"


@dataclass(frozen=True)
class Origin:
    """What must be the same for vectors to be taken over, and for a newer index to replace an older one."""

    vectors: str
    """Digest of the model, its engine and the code that runs them."""
    line: str
    """Digest of `vectors` and of the settings: indexes of one line differ in their documents only."""


def newest(work: Path, bundle: str) -> Path | None:
    """The index of a bundle (by its digest) that `make index` made or found unchanged last."""
    found = []
    for manifest in (work / STAGE).glob(f"*/{MANIFEST}"):
        whole = manifest.parent.name.isalnum()  # neither half built nor half removed
        if whole and json.loads(manifest.read_text(encoding="utf-8"))["record"]["bundle"] == bundle:
            found.append(manifest)
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def begin(folder: Path, origin: Origin) -> bool:
    """Give a new index's folder the rows of the last one whose vectors fit; one that was begun is left as it is.

    Returns whether it goes on from an index of the same line. Files are linked, not copied: LanceDB never writes to a
    file again that it has finished.
    """
    if (folder / ORIGIN).exists():
        return _read(folder)["continues"] is True
    if (folder / TABLE).exists():
        shutil.rmtree(folder / TABLE)  # half linked
    bases = sorted(_bases(folder.parent, origin), key=lambda base: _origin(base).line != origin.line)
    taken = next((base for base in bases if _take(base, folder)), None)
    continues = taken is not None and _origin(taken).line == origin.line
    write_json(folder / ORIGIN, {**vars(origin), "continues": continues})
    return continues


def retire(folder: Path, origin: Origin) -> None:
    """Remove the older indexes of the line that nobody holds."""
    for other in _bases(folder.parent, origin):
        if other.name == folder.name or _origin(other).line != origin.line:
            continue
        try:
            with FileLock(other.with_suffix(".lock"), timeout=0):
                if not in_use(other):
                    gone = other.with_name(f".gone-{other.name}-{os.getpid()}")
                    other.rename(gone)
                    shutil.rmtree(gone)
        except Timeout:
            continue


def _bases(stage: Path, origin: Origin) -> Iterator[Path]:
    """Folders with vectors that fit, finished or cut off, the one begun last first."""
    begun = [path for path in stage.glob(f"*/{ORIGIN}") if not path.parent.name.startswith(".")]
    for path in sorted(begun, key=lambda path: -path.stat().st_mtime):
        if _origin(path.parent).vectors == origin.vectors:
            yield path.parent


def _take(base: Path, folder: Path) -> bool:
    """Link a table's files while nobody builds it; whether there was one."""
    try:
        with FileLock(base.with_suffix(".lock"), timeout=0):
            if not (base / TABLE).exists():
                return False
            link_tree(base / TABLE, folder / TABLE)
            return True
    except Timeout:
        return False


def _origin(folder: Path) -> Origin:
    told = _read(folder)
    return Origin(told["vectors"], told["line"])


def _read(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    return told
