"""What of `mlruns/work` may go: stage folders by their last use, what killed commands left, Hydra's records."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from sluice.registry.upkeep.database import DATABASE, KEPT
from sluice.registry.upkeep.retention import DAY, GONE, RECENT_SECONDS, Item, Retention, discard, last_touched, size
from sluice.workspace import MANIFEST, in_use

KEYED = re.compile(r"[0-9a-f]{16}(\.partial|\.lock)?")
"""How a stage's folder, its half-done folder and its lock are called."""


def plan(root: Path, rules: Retention, protected: set[str]) -> list[Item]:
    """Items under `root` that no database knows. `protected` are the keys of stages that stay."""
    work = root / "work"
    kept = {key[:16] for key in protected}
    items = []
    for path in sorted([*root.glob(f"{GONE}*"), *work.glob("*/*")]):
        if path.name.startswith(GONE):
            items.append(Item("leftover", str(path), size(path), "half removed", partial(_always, path)))
        elif KEYED.fullmatch(path.name):
            items += _stage(path, rules, kept)
    items += _copies(work / "serve", rules)
    items += _aged(work.glob("hydra/*/*"), rules.keep_days, "record")
    items += _aged(root.glob(f"{DATABASE}{KEPT}*"), rules.keep_days, "database copy")
    return items


def _stage(path: Path, rules: Retention, kept: set[str]) -> Iterator[Item]:
    if path.suffix == ".lock":
        if not path.with_suffix("").exists() and not path.with_suffix(".partial").exists():
            yield Item("lock", str(path), 0, "of nothing", partial(_locked, path.with_suffix(""), path))
    elif path.suffix == ".partial":
        idle = time.time() - last_touched(path)
        if idle > max(rules.leftover_days * DAY, RECENT_SECONDS):
            why = f"cut off {idle / DAY:.0f} days ago"
            yield Item("leftover", str(path), size(path), why, partial(_locked, path.with_suffix(""), path))
    elif path.name not in kept and (path / MANIFEST).exists():
        idle = time.time() - (path / MANIFEST).stat().st_mtime
        if idle > max(rules.keep_days * DAY, RECENT_SECONDS):
            why = f"last used {idle / DAY:.0f} days ago"
            yield Item("stage folder", str(path), size(path), why, partial(_locked, path, path))


def _copies(serve: Path, rules: Retention) -> Iterator[Item]:
    """Bundles that a service fetched from a server and does not name any more."""
    described = [json.loads(path.read_text(encoding="utf-8")) for path in serve.glob("*.json")]
    named = {Path(slot["folder"]).name for slots in described if isinstance(slots, list) for slot in slots}
    unnamed = (path for path in serve.glob("bundles/*") if path.name not in named)
    return iter(_aged(unnamed, rules.keep_days, "served copy"))


def _locked(stage: Path, path: Path) -> bool:
    """Remove what belongs to a stage while nobody builds it or reads from it."""
    lock = stage.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=0):
            if in_use(stage):
                return False
            if path != lock:
                discard(path)
            if not stage.exists() and not stage.with_suffix(".partial").exists():
                lock.unlink(missing_ok=True)  # who waits for it notices and takes a new one
    except Timeout:
        return False
    return True


def discard_unused(stage: Path) -> bool:
    """Remove a finished stage's folder while nobody builds it or reads from it."""
    return _locked(stage, stage)


def _aged(paths: Iterator[Path], days: float, kind: str) -> Iterator[Item]:
    for path in sorted(paths):
        idle = time.time() - last_touched(path)
        if idle > max(days * DAY, RECENT_SECONDS):
            yield Item(kind, str(path), size(path), f"{idle / DAY:.0f} days old", partial(_always, path))


def _always(path: Path) -> bool:
    discard(path)
    with suppress(OSError):  # the day's folder, once it is empty
        path.parent.rmdir()
    return True


def at_work(work: Path) -> bool:
    """Whether any stage is being built or read from at this moment."""
    for path in work.glob("*/*"):
        if not KEYED.fullmatch(path.name):
            continue
        if path.suffix == ".lock":
            try:
                with FileLock(path, timeout=0):
                    pass
            except Timeout:
                return True
        elif in_use(path):
            return True
    return False
