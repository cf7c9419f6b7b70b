"""Which search indexes may go: those of versions that are no more. A version that stands keeps its newest one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sluice.registry.upkeep.folders import discard_unused
from sluice.registry.upkeep.retention import Item, size
from sluice.registry.versions import DIGEST
from sluice.workspace import MANIFEST

STAGE = "index"


def plan(work: Path, versions: Iterable[Mapping[int, Any]]) -> tuple[list[Item], set[str]]:
    """The indexes of bundles that no version has, and the names of the folders that answer for the others."""
    bundles = {one.tags.get(DIGEST, "") for numbers in versions for one in numbers.values()}
    items: list[Item] = []
    newest: dict[str, str] = {}
    for folder, record in _finished(work):
        if record["bundle"] in bundles:
            newest[record["bundle"]] = folder.name
        else:
            why = f"its version {record['version']} is gone"
            items.append(Item("index", str(folder), size(folder), why, partial(discard_unused, folder)))
    return items, set(newest.values())


def _finished(work: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Folders with their records, the one that was made or confirmed last at the end."""
    found = [path for path in (work / STAGE).glob(f"*/{MANIFEST}") if path.parent.name.isalnum()]
    found.sort(key=lambda path: path.stat().st_mtime)
    return [(path.parent, json.loads(path.read_text(encoding="utf-8"))["record"]) for path in found]
